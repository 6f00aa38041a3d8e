"""Every figure that the README quotes, each measured anew by one command; see `make bench`.

Absolute figures belong to the machine; what is asserted are ratios within one run.
"""
