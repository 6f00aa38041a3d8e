"""The OpenAPI document: a YAML file, completed for the running service.

`openapi.yaml` is written by hand; `document` adds the model, the limits and real examples.
"""
