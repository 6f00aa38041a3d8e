"""Metrics, and the log: its format, and one line per request."""
