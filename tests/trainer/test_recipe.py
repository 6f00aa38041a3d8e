"""Recipes: validation of their values, and the learning-rate schedule."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import SGD, NesterovSGD
from trainer.errors import TrainerError
from trainer.recipe import SCHEDULES, Recipe


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "expected batch_size from 1 to 1,000,000, got 0"),
        ("patience", 0, "expected patience from 1 to 1,000,000, got 0"),
        ("hidden_sizes", (5, 0), r"expected hidden_sizes from 1 to 1,000,000, got \(5, 0\)"),
        ("hidden_sizes", (10**18,), "expected hidden_sizes from 1 to"),
        ("epochs", 10**400, "expected epochs from 1 to"),
        ("schedule", "linear", "expected schedule constant or cosine, got 'linear'"),
        ("learning_rate", 0.0, "expected a learning rate over 0, got 0.0"),
        ("learning_rate", math.inf, "expected a learning rate over 0, got inf"),
        ("learning_rate", math.nan, "expected a learning rate over 0, got nan"),
        ("momentum", 1, "expected a momentum from 0 to less than 1, got 1"),
        ("warmup", 1, "expected a warm-up from 0 to less than 1, got 1"),
    ],
)
def test_invalid_values_are_rejected(name: str, value: object, message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        replace(Recipe(), **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("schedule", "rates"), [("constant", [0.2] * 4), ("cosine", [0.2, 0.15, 0.1, 0])]
)
def test_the_schedule(schedule: str, rates: list[float]) -> None:
    at = Recipe(schedule=schedule, learning_rate=0.2).learning_rate_at
    assert [at(progress) for progress in (0, 1 / 3, 0.5, 1)] == pytest.approx(rates)


@given(st.sampled_from(SCHEDULES), st.floats(0, 0.9), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_rises_linearly_during_the_warm_up_and_never_afterwards(
    schedule: str, warmup: float, one: float, other: float
) -> None:
    at = Recipe(schedule=schedule, learning_rate=0.2, warmup=warmup).learning_rate_at
    assert warmup < 1e-300 or at(warmup * one) == pytest.approx(0.2 * one, abs=1e-9)
    early, late = sorted(warmup + (1 - warmup) * share for share in (one, other))
    assert 0 <= at(late) <= at(early) + 1e-12 <= 0.2 + 1e-9


@pytest.mark.parametrize(("momentum", "kind"), [(0, SGD), (0.8, NesterovSGD)])
def test_the_optimizer_depends_on_the_momentum(momentum: float, kind: type) -> None:
    optimizer = Recipe(momentum=momentum, learning_rate=0.25).make_optimizer()
    assert type(optimizer) is kind
    assert optimizer.lr == 0.25
