"""Fault injection into the real processes: `python -m benchmarks.chaos`.

Each module is one experiment: it injects a fault, observes, and returns an `Outcome`.
"""
