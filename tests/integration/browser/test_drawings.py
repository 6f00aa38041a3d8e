"""What is drawn on the page, 200 times otherwise: the shipped network reads it."""

from collections import Counter

import numpy as np
import pytest

from nncore import ModelRepository, scale_pixels
from service.image_files import read_image_files
from tests.service.browser.drawings import digit, picture
from tests.service.pictures import encode
from tests.service.server import ROOT

_DRAWINGS_A_DIGIT = 20


@pytest.mark.parametrize("thickness", [0.4, 1.0, 1.6])
def test_drawings_of_every_kind_are_read(thickness: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), _DRAWINGS_A_DIGIT)
    files = [encode(picture(digit(label, rng), thickness)) for label in labels.tolist()]
    seen = read_image_files(files, (28, 28))
    network = ModelRepository(ROOT / "models").load("mnist", 1).model
    answers = network.predict(scale_pixels(seen)).argmax(axis=0)
    wrong = answers != labels
    mistakes = Counter(zip(labels[wrong].tolist(), answers[wrong].tolist(), strict=True))
    assert wrong.mean() <= 0.05, mistakes
