"""Probabilities that mean what they say: of answers given with 90 %, nine in ten are right."""

import numpy as np

from nncore import FCModel, LinearLayer, softmax
from nncore.types import Array
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all

# Where all held-out images are read right, the loss would have the network ever surer.
_MOST_CHANGE = 4.0
_HALVINGS = 60


def calibrate(model: FCModel, valid: LabelledImages) -> float:
    """Find the temperature at which the model's loss on held-out images is least, and fold it in.

    Dividing the logits by a temperature changes how sure the network is and never what it reads.
    The division is done once, in the weights of the last layer: serving needs nothing new.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.

    Args:
        model: The network, changed in place; its answers are logits.
        valid: Images that it has not been trained on.

    Returns:
        The temperature, above 1 where the network was too sure of itself.
    """
    sharpness = _best_sharpness(answer_all(model.apply, valid), valid.labels)
    last_layer = model.layers[-1]
    # What takes logits ends in one.
    assert isinstance(last_layer, LinearLayer)  # noqa: S101  # nosec B101
    for parameter in last_layer.parameters:
        parameter *= sharpness
    return 1 / sharpness


def _best_sharpness(logits: Array, labels: Array) -> float:
    """Bisect for the factor of the logits, `(classes, images)`, where the loss is stationary.

    The loss is convex in the factor; its slope is the mean logit that the probabilities expect,
    less that of the label.
    """
    z = logits.astype(np.float64)
    target = z[labels, np.arange(len(labels))].sum()
    low, high = 1 / _MOST_CHANGE, _MOST_CHANGE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.sum(softmax(middle * z) * z) > target:
            high = middle
        else:
            low = middle
    return (low + high) / 2
