"""The models that are served: `loaded_model` is one version in memory, ready to answer.

`registry` holds all of them and follows the model repository on disk.
"""
