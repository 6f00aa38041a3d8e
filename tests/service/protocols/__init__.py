"""Tests of the protocols, through the application without a socket.

Each protocol gives the model's own probabilities, or an error that says what to do.
"""
