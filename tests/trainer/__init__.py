"""Tests of the trainer: invalid input, and the whole job on small data sets."""
