"""Hostile requests: valid ones of every kind, mutated by their structure or byte by byte.

A request is a function of a seed and its number, so that what one of them breaks can be sent again.
"""

from benchmarks.chaos.hostile.experiment import run

__all__ = ["run"]
