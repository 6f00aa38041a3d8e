"""The OpenAPI document: `openapi.yaml`, and `document`, which completes it."""
