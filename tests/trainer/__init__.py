"""The trainer's tests: bad input in every form it comes in, and the whole job on tiny data."""
