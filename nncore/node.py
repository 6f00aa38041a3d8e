"""The base of everything in the network: a node with a forward and a backward half.

A node computes in `apply`, which is pure. `forward` also records what `backwards` needs.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from nncore.types import Array


class Node:
    """One step of a computation, with at most one child: the node that consumes its answer.

    Arrays are features x batch: shape `(features, batch)`.

    Attributes:
        x: The input of the last `forward`, None before it.
        ans: The answer of the last `forward`, None before it.
        input_grad: The gradient with respect to `x`, set (not accumulated) by `backwards`.
        child: The next node towards the loss, None for the last one.
        parameter_names: State-dict name -> attribute, for each parameter a subclass has.
    """

    parameter_names: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.x: Any = None
        self.ans: Any = None
        self.input_grad: Any = None
        self.child: Node | None = None

    @property
    def parameters(self) -> list[Array]:
        """The parameter arrays themselves (not copies), read off the attributes each time."""
        return [value for value in self._named_parameters().values() if value is not None]

    def _named_parameters(self) -> dict[str, Array | None]:
        return {name: getattr(self, at) for name, at in self.parameter_names.items()}

    def apply(self, *inputs: Any, **options: Any) -> Any:
        """Compute the answer from the input, reading parameters and recording nothing."""
        raise NotImplementedError(f"{type(self).__name__} must define apply")

    def forward(self, x: Array, *targets: Array) -> Any:
        """Compute the answer, shaped as in `apply`; record it and the input for `backwards`."""
        self.x = x
        self.ans = self.apply(x, *targets)
        return self.ans

    def backwards(self, g: Any = 1) -> list[Array] | None:
        """Set `input_grad` from the upstream gradient `g`, shaped like `ans`.

        Returns:
            One gradient for each of `parameters`, in order; None for a node that has none.
        """
        raise NotImplementedError(f"{type(self).__name__} must define backwards")

    def __call__(self, x: Array, *targets: Array) -> Any:
        """Call `forward`."""
        return self.forward(x, *targets)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
