"""Tests of the model repository. Each file tests the module whose name it has."""
