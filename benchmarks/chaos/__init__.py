"""`python -m benchmarks.chaos`: harm is done to the real processes, and what they make of it told.

Each module is one experiment: it does the harm, watches, and gives what it saw as an `Outcome`.
"""
