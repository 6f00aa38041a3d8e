"""Parsers of untrusted request bodies: JSON, raw bytes, `.npy`, forms, pictures.

Each returns arrays or bytes, or raises `RequestError`, and is safe in any number of threads.
"""
