"""Tests with real MNIST."""
