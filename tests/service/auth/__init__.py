"""Access control of requests over HTTP. Both parts of it are off by default."""
