"""The fully connected network: `forward` for training, `predict` for inference."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from nncore.activations import Activation, ReLU, Softmax
from nncore.graph import make_sequential
from nncore.linear import LinearLayer
from nncore.losses import Loss, NLLLoss
from nncore.node import Node
from nncore.predictor import Predictor
from nncore.types import Array, RandomSource


def fully_connected(
    sizes: Sequence[int],
    activation: type[Activation] = ReLU,
    rng: RandomSource | None = None,
    dtype: DTypeLike = np.float32,
) -> list[Node]:
    """Return linear layers with an activation between them, weights drawn by `kaiming_init`.

    Args:
        sizes: The number of features before and after each linear layer, in order.
        activation: The class of the nodes between them.
        rng: The random source of the weights; numpy's global one when None.
        dtype: The dtype of the parameters.

    Raises:
        ValueError: A size is less than 1.
    """
    layers: list[Node] = []
    for input_size, output_size in pairwise(sizes):
        if layers:
            layers.append(activation())
        layer = LinearLayer(
            input_size, output_size, bias=True, init_func=lambda *shape: np.empty(shape, dtype)
        )
        layer.kaiming_init(rng)
        layers.append(layer)
    return layers


class FCModel(Predictor):
    """A classifier: linear layers with ReLU between them, or any other chain of nodes, and a loss.

    Args:
        input_shape: The shape of one image, or its number of pixels.
        hidden_sizes: The width of each hidden layer; may be empty.
        num_classes: The number of classes.
        layers: Nodes to use instead of `fully_connected` layers; `hidden_sizes`, `num_classes`,
            `activation` and `rng` then have no effect.
        loss: `NLLLoss` by default; `forward` then returns probabilities, as in the notebook. With
            a loss that takes logits, such as `SoftmaxCrossEntropy`, `forward` returns logits.
        activation: The class of the nodes between linear layers.
        rng: The random source of the weights (`kaiming_init`); numpy's global one when None.
        dtype: The dtype of parameters, activations and gradients.
        needs_input_grad: Whether back-propagation computes the gradient of the images, as
            `layers[0].input_grad`; False saves the largest matrix product.

    Attributes:
        layers: The nodes in forward order, numbered as in the equivalent `torch.nn.Sequential`.
        loss: The last node of the graph.

    Raises:
        ValueError: A size is less than 1.
    """

    def __init__(
        self,
        input_shape: int | Sequence[int] = 784,
        hidden_sizes: Sequence[int] = (512, 256),
        num_classes: int = 10,
        *,
        layers: Sequence[Node] | None = None,
        loss: Loss | None = None,
        activation: type[Activation] = ReLU,
        rng: RandomSource | None = None,
        dtype: DTypeLike = np.float32,
        needs_input_grad: bool = True,
    ) -> None:
        if layers is None:
            sizes = (int(np.prod(input_shape)), *hidden_sizes, num_classes)
            layers = fully_connected(sizes, activation, rng, dtype)
        self.loss = NLLLoss() if loss is None else loss
        if not self.loss.takes_logits and not isinstance(layers[-1], Softmax):
            layers = [*layers, Softmax()]
        super().__init__(layers, input_shape, dtype)
        self.layers[0].needs_input_grad = needs_input_grad
        make_sequential([*self.layers, self.loss])

    @property
    def topsorted(self) -> list[Node]:
        """The nodes in reverse topological order, for `back_propagate`."""
        return make_sequential([*self.layers, self.loss])

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """The number of pixels, and the width of each linear layer."""
        widths = (len(layer.w) for layer in self.layers if isinstance(layer, LinearLayer))
        return (math.prod(self.input_shape), *widths)

    def forward(self, x: Array) -> Array:
        """Run the layers and record their inputs and outputs, for training.

        Args:
            x: Floats, `(batch, *input_shape)` or `(batch, pixels)`, pixels / 255 in [0, 1].

        Returns:
            The input of `loss`, `(classes, batch)`: probabilities or logits.

        Raises:
            TypeError: The images are not floats.
            ValueError: The images have another number of pixels.
        """
        x = self._columns(x)
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def freeze(self) -> Predictor:
        """Return a network that predicts the same, faster for small batches, and cannot be trained.

        It has its own copy of the parameters.
        """
        return Predictor([layer.freeze() for layer in self.layers], self.input_shape, self.dtype)

    def state_dict(self) -> dict[str, Array]:
        """Return views of the parameters, named as in the equivalent `torch.nn.Sequential`.

        Returns:
            "0.weight" `(out, in)`, "0.bias" `(out,)`, "2.weight" and so on.
        """
        return {
            f"{number}.{name}": value
            for number, layer in enumerate(self.layers)
            for name, value in layer.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy parameters into the model; on an error, none is changed.

        Raises:
            ValueError: A tensor is missing, unknown, or of another shape or dtype.
        """
        own = self.state_dict()
        if own.keys() != state.keys():
            raise ValueError(f"expected the tensors {sorted(own)}, got {sorted(state)}")
        for name, value in own.items():
            got = state[name]
            if (got.shape, got.dtype) != (value.shape, value.dtype):
                raise ValueError(
                    f"expected {name} to be {value.dtype} {value.shape}, "
                    f"got {got.dtype} {got.shape}"
                )
        for name, value in own.items():
            value[...] = state[name]

    def __repr__(self) -> str:
        return f"FCModel({'-'.join(map(str, self.layer_sizes))}, {self.dtype})"
