"""The protocols of the service, one module each: routes that decode requests and encode responses.

What lies between decoding and encoding is the same for all of them: `service.inference`.
"""
