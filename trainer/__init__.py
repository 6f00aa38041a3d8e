"""The offline job: a data set goes in, a published model version comes out.

`python -m trainer --help` tells what it can be asked; it meets the service only in the files that
`nncore` publishes.
"""
