"""A chain of nodes that predicts."""

import math
from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import DTypeLike

from nncore.activations import Softmax, softmax
from nncore.encoding import one_hot_encode
from nncore.graph import back_propagate, make_sequential
from nncore.node import Node
from nncore.types import Array


class Predictor:
    """A chain of nodes from images to class probabilities, safe in any number of threads.

    Attributes:
        layers: The nodes in forward order; a chain that ends in logits needs no `Softmax`.
        input_shape: The shape of one image; the constructor also takes its number of pixels.
        dtype: The dtype of the arrays in the chain.

    Raises:
        ValueError: A size of the input is less than 1.
    """

    def __init__(
        self, layers: Sequence[Node], input_shape: int | Sequence[int], dtype: DTypeLike
    ) -> None:
        self.layers = list(layers)
        self.input_shape = tuple(int(size) for size in np.atleast_1d(input_shape))
        if min(self.input_shape, default=0) < 1:
            raise ValueError(f"expected sizes of 1 or more, got {self.input_shape} for the input")
        self.dtype = np.dtype(dtype)

    @property
    def logit_layers(self) -> list[Node]:
        """The nodes in forward order, without a `Softmax` at the end."""
        return self.layers[:-1] if isinstance(self.layers[-1], Softmax) else self.layers

    def apply(self, images: Array) -> Array:
        """Return the output of the last node, `(classes, batch)`, without recording anything.

        Args:
            images: Floats, `(batch, *input_shape)` or `(batch, pixels)`, pixels / 255 in [0, 1].

        Raises:
            TypeError: The images are not floats.
            ValueError: The images have another number of pixels.
        """
        return _chain(self.layers, self._columns(images))

    def logits(self, images: Array) -> Array:
        """Return logits, `(classes, batch)`, without recording anything; arguments as in `apply`.

        Raises:
            TypeError: The images are not floats.
            ValueError: The images have another number of pixels.
        """
        return _chain(self.logit_layers, self._columns(images))

    def predict(self, images: Array) -> Array:
        """Return probabilities, `(classes, batch)`; arguments as in `apply`.

        Raises:
            TypeError: The images are not floats.
            ValueError: The images have another number of pixels.
        """
        return softmax(self.logits(images))

    def attribute(self, images: Array, labels: Array) -> Array:
        """Return the contribution of each pixel to a label.

        It is the pixel times the gradient of the label's logit minus the mean of all logits.
        Source: Shrikumar et al. 2016, "Not Just a Black Box: Learning Important Features Through
        Propagating Activation Differences", gradient times input.

        Args:
            images: As for `apply`.
            labels: One per image, `(batch,)`.

        Returns:
            `(batch, pixels)`; positive values support the label.

        Raises:
            TypeError: The images are not floats.
            ValueError: The images have another number of pixels, or a label is outside the classes.
        """
        nodes = [copy(node) for node in self.logit_layers]
        topsorted = make_sequential(nodes)
        topsorted[0].child = None
        x = self._columns(images)
        for node in nodes:
            node.needs_input_grad = True
            x = node.forward(x)
        classes = len(x)
        back_propagate(topsorted, one_hot_encode(labels, classes, x.dtype) - 1 / classes)
        first = nodes[0]
        contributions: Array = (first.x * first.input_grad).T
        return contributions

    def _columns(self, images: Array) -> Array:
        """Return the images as columns, `(pixels, batch)`, in the dtype of the chain."""
        if not np.issubdtype(images.dtype, np.floating):
            raise TypeError(
                f"expected pixels / 255 as floats, got {images.dtype}: "
                "convert grey levels with scale_pixels"
            )
        pixels = math.prod(self.input_shape)
        if images.ndim < 2 or math.prod(images.shape[1:]) != pixels:
            raise ValueError(
                f"expected images of {pixels} pixels, shape (batch, {pixels}) or "
                f"(batch, *{self.input_shape}), got shape {images.shape}"
            )
        return images.reshape(len(images), pixels).T.astype(self.dtype, copy=False)


def _chain(layers: Sequence[Node], x: Array) -> Array:
    for layer in layers:
        x = layer.apply(x)
    return x
