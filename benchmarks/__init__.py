"""The measurements behind the figures in docs/benchmarks.md; `make bench` runs them.

Absolute figures belong to one machine; only ratios within one run are compared.
"""
