"""Hypothesis strategies of small sizes, and of seeds."""

from hypothesis import strategies as st

MAX_FEATURES = 6
MAX_BATCH = 5
MAX_HIDDEN_LAYERS = 3
MAX_IMAGE_AXES = 3
MAX_IMAGE_AXIS = 4

features = st.integers(1, MAX_FEATURES)
batches = st.integers(1, MAX_BATCH)
hidden_sizes = st.lists(features, max_size=MAX_HIDDEN_LAYERS)
image_shapes = st.lists(st.integers(1, MAX_IMAGE_AXIS), min_size=1, max_size=MAX_IMAGE_AXES).map(
    tuple
)
seeds = st.integers(0, 2**32 - 1)
