"""The base class of layers, activations and losses.

`apply` computes and has no side effects. `forward` also records what `backwards` needs.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Self

from nncore.types import Array


class Node:
    """One operation of the graph; its child is the node that consumes its output.

    Arrays have the shape `(features, batch)`.

    Attributes:
        x: The input of the last `forward`, None before it.
        ans: The output of the last `forward`, None before it.
        input_grad: The gradient with respect to `x`; `backwards` sets it and does not accumulate.
        needs_input_grad: Whether `backwards` has to set `input_grad`.
        child: The next node towards the loss, None for the last one.
        parameter_names: State-dict name -> attribute, for each parameter of a subclass.
    """

    parameter_names: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.x: Any = None
        self.ans: Any = None
        self.input_grad: Any = None
        self.needs_input_grad = True
        self.child: Node | None = None

    @property
    def parameters(self) -> list[Array]:
        """The parameter arrays (not copies), looked up at each access."""
        values = (getattr(self, attribute) for attribute in self.parameter_names.values())
        return [value for value in values if value is not None]

    def state_dict(self) -> dict[str, Array]:
        """Return views of the parameters by name, in their shapes."""
        values = ((name, getattr(self, attr)) for name, attr in self.parameter_names.items())
        return {name: value for name, value in values if value is not None}

    def config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, JSON values, from which `from_config` builds."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build a node of the same shape; its parameters are arbitrary until they are loaded.

        Raises:
            TypeError: An argument is missing, unknown or of the wrong type.
            ValueError: An argument is out of range.
        """
        return cls(**config)

    def freeze(self) -> "Node":
        """Return a node with the same `apply` that is only used to predict."""
        return copy(self)

    def apply(self, *inputs: Any, **options: Any) -> Any:
        """Return the output for an input, without side effects."""
        raise NotImplementedError(f"{type(self).__name__} must define apply")

    def forward(self, x: Array, *targets: Array) -> Any:
        """Return the output, shaped as in `apply`; record it and the input for `backwards`."""
        self.x = x
        self.ans = self.apply(x, *targets)
        return self.ans

    def backwards(self, g: Any) -> list[Array] | None:
        """Set `input_grad` from the upstream gradient `g`, shaped like `ans`.

        Returns:
            One gradient for each of `parameters`, in order; None if there are none.
        """
        raise NotImplementedError(f"{type(self).__name__} must define backwards")

    def __call__(self, x: Array, *targets: Array) -> Any:
        """Call `forward`."""
        return self.forward(x, *targets)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
