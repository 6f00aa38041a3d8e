"""The base class: forward records, and missing methods are named."""

from typing import Any

import numpy as np
import pytest

from nncore import Node
from nncore.types import Array


class Double(Node):
    def apply(self, *inputs: Any, **options: Any) -> Any:
        return 2 * inputs[0]


def test_forward_records_the_input_and_the_output() -> None:
    node, x = Double(), np.arange(3.0)
    ans = node.forward(x)
    assert node.x is x
    assert node.ans is ans
    np.testing.assert_array_equal(ans, [0, 2, 4])


@pytest.mark.parametrize("method", ["apply", "backwards"])
def test_a_missing_method_is_an_error_that_names_the_subclass(method: str) -> None:
    class Unfinished(Node):
        pass

    with pytest.raises(NotImplementedError, match=f"Unfinished must define {method}"):
        getattr(Unfinished(), method)(np.arange(3.0))


def test_parameters_are_in_the_order_of_their_names() -> None:
    class Scale(Node):
        parameter_names = {"offset": "o", "missing": "m", "factor": "f"}  # noqa: RUF012
        o: Array = np.zeros(2)
        f: Array = np.ones(3)
        m: Array | None = None

    node = Scale()
    assert [id(p) for p in node.parameters] == [id(node.o), id(node.f)]
    node.m = np.full(1, 5.0)
    assert [id(p) for p in node.parameters] == [id(node.o), id(node.m), id(node.f)]
