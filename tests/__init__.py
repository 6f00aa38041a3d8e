"""The tests: one folder for each package, mirroring its modules.

What needs real MNIST, a browser, curl or a large package is skipped, visibly, where that is absent.
"""
