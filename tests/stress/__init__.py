"""Fault injection: real processes under faults, hostile clients and long load."""
