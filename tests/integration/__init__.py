"""Tests that need a running server, a browser or another project's client.

The rest of the service's tests, in `tests/service`, call the application without a socket.
"""
