"""What browsers see: the drawing page, and the API documentation.

All files come from this package, so that the pages work without any other server.
"""
