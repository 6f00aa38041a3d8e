"""Recipes hold values that can train, and a learning rate that follows its schedule."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import SGD, NesterovSGD
from trainer.errors import TrainerError
from trainer.recipe import SCHEDULES, Recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, "expected batch_size of 1 or more, got 0"),
        ({"batch_size": -5}, "expected batch_size of 1 or more, got -5"),
        ({"epochs": 0}, "expected epochs of 1 or more, got 0"),
        ({"hidden_sizes": (0,)}, "expected hidden sizes of 1 or more"),
        ({"hidden_sizes": (5, -1)}, "expected hidden sizes of 1 or more"),
        ({"learning_rate": 0.0}, "expected a learning rate over 0, got 0.0"),
        ({"learning_rate": -1e-3}, "expected a learning rate over 0"),
        ({"learning_rate": math.nan}, "expected a learning rate over 0, got nan"),
        ({"momentum": 1}, "expected a momentum from 0 to less than 1, got 1"),
        ({"momentum": -0.1}, "expected a momentum from 0 to less than 1, got -0.1"),
        ({"momentum": math.nan}, "expected a momentum from 0 to less than 1, got nan"),
        ({"warmup": 1}, "expected a warm-up from 0 to less than 1, got 1"),
        ({"warmup": math.nan}, "expected a warm-up from 0 to less than 1, got nan"),
        ({"patience": 0}, "expected patience of 1 or more, got 0"),
        ({"learning_rate": math.inf}, "expected a learning rate over 0, got inf"),
    ],
)
def test_values_that_cannot_train_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        replace(Recipe(), **values)  # type: ignore[arg-type]


def test_a_cosine_begins_whole_is_half_in_the_middle_and_ends_at_nothing() -> None:
    recipe = Recipe(schedule="cosine", learning_rate=0.2)
    assert recipe.learning_rate_at(0) == 0.2
    assert recipe.learning_rate_at(1 / 3) == pytest.approx(0.15)
    assert recipe.learning_rate_at(0.5) == pytest.approx(0.1)
    assert recipe.learning_rate_at(1) == 0


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_rises_in_a_line_to_where_the_schedule_begins(schedule: str) -> None:
    recipe = Recipe(schedule=schedule, learning_rate=0.2, warmup=0.25)
    rates = [recipe.learning_rate_at(progress) for progress in (0, 0.0625, 0.125, 0.25)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.2])
    after = Recipe(schedule=schedule, learning_rate=0.2)
    assert recipe.learning_rate_at(0.625) == pytest.approx(after.learning_rate_at(0.5))
    assert recipe.learning_rate_at(1) == pytest.approx(after.learning_rate_at(1))


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_cosine_only_falls(one: float, other: float) -> None:
    at = Recipe(schedule="cosine", learning_rate=0.2).learning_rate_at
    assert 0 <= at(max(one, other)) <= at(min(one, other)) <= 0.2


@pytest.mark.parametrize(("momentum", "kind"), [(0, SGD), (0.8, NesterovSGD)])
def test_an_optimizer_starts_at_the_recipes_learning_rate(momentum: float, kind: type) -> None:
    recipe = Recipe(momentum=momentum, learning_rate=0.25)
    optimizer = recipe.make_optimizer()
    assert type(optimizer) is kind
    assert optimizer.lr == 0.25
    assert recipe.make_optimizer() is not optimizer
