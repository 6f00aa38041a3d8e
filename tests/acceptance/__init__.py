"""Tests with real MNIST: accuracy, memory, kills and resumption; they take minutes.

They need DATA_DIR, a directory with the four IDX files.
"""
