"""Settings and fixtures of all tests: deterministic properties, seeded randomness."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile(
    "deterministic", derandomize=True, database=None, deadline=None, max_examples=30
)
settings.load_profile("deterministic")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def seed_numpy() -> Iterator[Callable[[int], None]]:
    """Seed numpy's global generator, and restore its state after the test."""
    state = np.random.get_state()  # noqa: NPY002
    yield np.random.seed
    np.random.set_state(state)  # noqa: NPY002
