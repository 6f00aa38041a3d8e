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
        ("batch_size", 0, "expected batch_size of 1 or more, got 0"),
        ("epochs", -5, "expected epochs of 1 or more, got -5"),
        ("patience", 0, "expected patience of 1 or more, got 0"),
        ("hidden_sizes", (5, 0), "expected hidden sizes of 1 or more"),
        ("learning_rate", 0.0, "expected a learning rate over 0, got 0.0"),
        ("learning_rate", math.nan, "expected a learning rate over 0, got nan"),
        ("learning_rate", math.inf, "expected a learning rate over 0, got inf"),
        ("momentum", 1, "expected a momentum from 0 to less than 1, got 1"),
        ("momentum", math.nan, "expected a momentum from 0 to less than 1, got nan"),
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


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_rises_linearly_to_the_start_of_the_schedule(schedule: str) -> None:
    recipe = Recipe(schedule=schedule, learning_rate=0.2, warmup=0.25)
    rates = [recipe.learning_rate_at(progress) for progress in (0, 0.0625, 0.125, 0.25)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.2])
    after = Recipe(schedule=schedule, learning_rate=0.2)
    assert recipe.learning_rate_at(0.625) == pytest.approx(after.learning_rate_at(0.5))


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_cosine_schedule_never_rises(one: float, other: float) -> None:
    at = Recipe(schedule="cosine", learning_rate=0.2).learning_rate_at
    assert 0 <= at(max(one, other)) <= at(min(one, other)) <= 0.2


@pytest.mark.parametrize(("momentum", "kind"), [(0, SGD), (0.8, NesterovSGD)])
def test_the_optimizer_depends_on_the_momentum(momentum: float, kind: type) -> None:
    optimizer = Recipe(momentum=momentum, learning_rate=0.25).make_optimizer()
    assert type(optimizer) is kind
    assert optimizer.lr == 0.25
