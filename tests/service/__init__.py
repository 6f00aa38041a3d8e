"""The inference service, mostly through the Flask application in its middleware.

Tests that need a server, a browser or another project's client are in `tests/integration`.
"""
