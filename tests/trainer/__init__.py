"""Tests of the trainer: invalid input, and the whole job on small data sets.

Mirrors are local HTTP servers; signals are sent to real processes.
"""
