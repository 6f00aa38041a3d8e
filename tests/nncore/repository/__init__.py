"""Tests of the model repository: durable files, the manifest, publishing and loading."""
