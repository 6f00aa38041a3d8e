"""The measurements behind every figure in the documentation; see `make bench`.

Absolute figures belong to one machine; only ratios within one run are compared.
"""
