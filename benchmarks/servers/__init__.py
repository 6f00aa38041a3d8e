"""The servers that Nodestack is compared with, one file each, and an empty route.

The peers run in `.venv-bench` and answer with the same network, in onnxruntime.
"""
