"""Temperature scaling: calibrated probabilities, so that confidence equals accuracy."""

import numpy as np

from nncore import FCModel, LinearLayer, softmax
from nncore.types import Array
from trainer.labelled_images import LabelledImages
from trainer.measurement import answer_all

# Bounds the factor: without a mistake among the images the loss has no minimum.
_MAX_FACTOR = 4.0
_HALVINGS = 60


def calibrate(model: FCModel, valid: LabelledImages) -> float:
    """Find the temperature that minimizes the validation loss, and fold it into the last layer.

    Dividing logits by a temperature changes the confidence and never the predicted class. Folding
    the division into the weights of the last layer needs no change in serving.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.

    Args:
        model: The network, changed in place; its loss takes logits.
        valid: Images that it has not been trained on.

    Returns:
        The temperature, above 1 if the network was overconfident.
    """
    factor = _best_factor(answer_all(model.apply, valid), valid.labels)
    last_layer = model.layers[-1]
    # Models that return logits end in a linear layer.
    assert isinstance(last_layer, LinearLayer)  # noqa: S101  # nosec B101
    for parameter in last_layer.parameters:
        parameter *= factor
    return 1 / factor


def _best_factor(logits: Array, labels: Array) -> float:
    """Find the factor of the logits, `(classes, images)`, that minimizes the loss, by bisection.

    The loss is convex in the factor. Its derivative is the expected logit under the probabilities
    minus the logit of the label.
    """
    z = logits.astype(np.float64)
    target = z[labels, np.arange(len(labels))].sum()
    low, high = 1 / _MAX_FACTOR, _MAX_FACTOR
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.sum(softmax(middle * z) * z) > target:
            high = middle
        else:
            low = middle
    return (low + high) / 2
