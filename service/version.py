"""The service's own version, where the container finds it: that of `pyproject.toml`."""

VERSION = "0.1.0"
