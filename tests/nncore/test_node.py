"""The base class names the method that a subclass misses."""

import numpy as np
import pytest

from nncore import Node


@pytest.mark.parametrize("method", ["apply", "backwards"])
def test_a_missing_method_is_an_error_that_names_the_subclass(method: str) -> None:
    class Unfinished(Node):
        pass

    with pytest.raises(NotImplementedError, match=f"Unfinished must define {method}"):
        getattr(Unfinished(), method)(np.arange(3.0))
