"""Clients of other servers against the running service.

With SERVICE_URL they talk to the service there instead of one of their own.
"""
