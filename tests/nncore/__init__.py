"""What the network and its repository promise.

Every gradient is checked against central differences, and every file that is damaged is refused.
"""
