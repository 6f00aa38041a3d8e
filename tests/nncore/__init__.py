"""Tests of the network and its repository.

Every gradient is checked against central differences, and every damaged file is rejected.
"""
