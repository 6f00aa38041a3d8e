"""The offline job: it trains a network on a data set and publishes it as a model version.

`nodestack train --help` lists its options. The service reads the files that it publishes.
"""
