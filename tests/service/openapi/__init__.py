"""The OpenAPI document against the application, and the page that shows it.

Every example of the document is sent, and every response is compared with its schema.
"""
