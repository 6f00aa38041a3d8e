"""Hypothesis strategies of small sizes, and of seeds."""

from hypothesis import strategies as st

features = st.integers(1, 6)
batches = st.integers(1, 5)
hidden_sizes = st.lists(features, max_size=3)
image_shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 2**32 - 1)
