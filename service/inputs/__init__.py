"""Parsers of untrusted request bodies; each returns arrays or bytes, or raises `RequestError`."""
