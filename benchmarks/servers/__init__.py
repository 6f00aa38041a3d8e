"""The servers that ours is compared with, one file each, and what each needs installed.

Each runs in an environment of its own and answers with the same network, in onnxruntime.
"""
