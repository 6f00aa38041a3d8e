"""Tests of the parsers of request bodies.

Any input gives arrays or bytes, or a `RequestError` and nothing else.
"""
