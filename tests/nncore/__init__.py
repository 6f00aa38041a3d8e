"""Tests of the network and its repository."""
