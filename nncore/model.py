"""The fully connected network: `forward` for training, `predict` for inference."""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from nncore.activations import ReLU, Softmax
from nncore.encoding import one_hot_encode
from nncore.graph import back_propagate, make_sequential
from nncore.linear import LinearLayer
from nncore.losses import ClassificationLoss, NLLLoss
from nncore.node import Node
from nncore.types import Array, RandomSource


class FCModel:
    """A classifier of linear layers with ReLU between them and softmax after the last.

    Args:
        input_shape: The shape of one image, or its number of pixels.
        hidden_sizes: The width of each hidden layer; may be empty.
        num_classes: The number of classes.
        loss: `NLLLoss` by default; `forward` then returns probabilities, as in the notebook. With
            `SoftmaxCrossEntropy`, which takes logits, `forward` returns logits.
        rng: The random source of the weights (`kaiming_init`); numpy's global one when None.
        dtype: The dtype of parameters, activations and gradients.
        needs_input_grad: Whether back-propagation computes the gradient of the images, as
            `layers[0].input_grad`; False saves the largest matrix product.

    Attributes:
        layers: The nodes in forward order, numbered as in the equivalent `torch.nn.Sequential`.
        softmax: The node that converts logits to probabilities.
        loss: The last node of the graph.
        topsorted: The nodes in reverse topological order, for `back_propagate`.

    Raises:
        ValueError: A size is less than 1.
    """

    def __init__(
        self,
        input_shape: int | Sequence[int] = 784,
        hidden_sizes: Sequence[int] = (512, 256),
        num_classes: int = 10,
        *,
        loss: ClassificationLoss | None = None,
        rng: RandomSource | None = None,
        dtype: DTypeLike = np.float32,
        needs_input_grad: bool = True,
    ) -> None:
        self.input_shape = tuple(int(size) for size in np.atleast_1d(input_shape))
        self.layer_sizes = (math.prod(self.input_shape), *hidden_sizes, num_classes)
        if min(*self.input_shape, *self.layer_sizes) < 1:
            raise ValueError(
                f"expected sizes of 1 or more, got {self.input_shape} for the input "
                f"and {self.layer_sizes} for the layers"
            )
        self.dtype = np.dtype(dtype)

        self._hidden_and_logits: list[Node] = []
        for input_size, output_size in pairwise(self.layer_sizes):
            if self._hidden_and_logits:
                self._hidden_and_logits.append(ReLU())
            layer = LinearLayer(input_size, output_size, bias=True, init_func=self._zeros)
            layer.kaiming_init(rng)
            layer.needs_input_grad = needs_input_grad or bool(self._hidden_and_logits)
            self._hidden_and_logits.append(layer)

        self.softmax = Softmax()
        self.loss = NLLLoss() if loss is None else loss
        head: list[Node] = [] if self.loss.takes_logits else [self.softmax]
        self.layers = self._hidden_and_logits + head
        self.topsorted = make_sequential([*self.layers, self.loss])

    def _zeros(self, rows: int, columns: int) -> Array:
        return np.zeros((rows, columns), self.dtype)

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

    def apply(self, images: Array) -> Array:
        """Return what `forward` returns without recording anything."""
        x = self._columns(images)
        for layer in self.layers:
            x = layer.apply(x)
        return x

    def predict(self, images: Array) -> Array:
        """Return probabilities without recording anything; thread-safe.

        Args:
            images: As for `forward`.

        Returns:
            Probabilities, `(classes, batch)`, in the model's dtype.

        Raises:
            TypeError: The images are not floats.
            ValueError: The images have another number of pixels.
        """
        answer = self.apply(images)
        if self.loss.takes_logits:
            answer = self.softmax.apply(answer)
        return answer

    def attribute(self, images: Array, labels: Array) -> Array:
        """Return the contribution of each pixel to a label; thread-safe.

        It is the pixel times the gradient of the label's logit minus the mean of all logits.
        Source: Shrikumar et al. 2016, "Not Just a Black Box: Learning Important Features Through
        Propagating Activation Differences", gradient times input.

        Args:
            images: As for `forward`.
            labels: One per image, `(batch,)`.

        Returns:
            `(batch, pixels)` in the model's dtype; positive values support the label.

        Raises:
            TypeError: The images are not floats.
            ValueError: The images have another number of pixels, or a label is outside the classes.
        """
        nodes = [copy(node) for node in self._hidden_and_logits]
        topsorted = make_sequential(nodes)
        topsorted[0].child = None
        x = self._columns(images)
        for node in nodes:
            if isinstance(node, LinearLayer):
                node.needs_input_grad = True
            x = node.forward(x)
        classes = len(x)
        back_propagate(topsorted, one_hot_encode(labels, classes, x.dtype) - 1 / classes)
        first = nodes[0]
        contributions: Array = (first.x * first.input_grad).T
        return contributions

    def skip_zeros(self) -> None:
        """Make every linear layer skip zeros: faster prediction, slower training."""
        for layer in self.layers:
            if isinstance(layer, LinearLayer):
                layer.skip_zeros()

    def _columns(self, images: Array) -> Array:
        """Return the images as columns, `(pixels, batch)`, in the model's dtype."""
        if not np.issubdtype(images.dtype, np.floating):
            raise TypeError(
                f"expected pixels / 255 as floats, got {images.dtype}: "
                "convert grey levels with scale_pixels"
            )
        pixels = self.layer_sizes[0]
        if images.ndim < 2 or math.prod(images.shape[1:]) != pixels:
            raise ValueError(
                f"expected images of {pixels} pixels, shape (batch, {pixels}) or "
                f"(batch, *{self.input_shape}), got shape {images.shape}"
            )
        return images.reshape(len(images), pixels).T.astype(self.dtype, copy=False)

    def state_dict(self) -> dict[str, Array]:
        """Return views of the parameters, named as in the equivalent `torch.nn.Sequential`.

        Returns:
            "0.weight" `(out, in)`, "0.bias" `(out,)`, "2.weight" and so on.
        """
        return {
            f"{number}.{name}": value
            for number, layer in enumerate(self.layers)
            if isinstance(layer, LinearLayer)
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
