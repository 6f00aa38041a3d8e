"""The promises that take minutes on real MNIST: accuracy, memory, time, kills and resumption.

They run where DATA_DIR names its files, and skip elsewhere.
"""
