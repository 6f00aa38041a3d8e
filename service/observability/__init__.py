"""What operators see: metrics for Prometheus, one log line per request, request ids.

`metrics` counts and exposes, `request_log` names the fields of a line, `log_format` renders it.
"""
