from collections import Counter

import numpy as np
import pytest

from nncore import scale_pixels
from nncore.repository import ModelRepository
from service.inputs.pictures import read_pictures
from tests.integration.browser.drawings import digit, picture
from tests.support.pictures import encode
from tests.support.server import ROOT

DRAWINGS_PER_DIGIT = 20


@pytest.mark.slow
@pytest.mark.parametrize("thickness", [0.4, 1.0, 1.6])
def test_the_shipped_model_reads_varied_drawings(thickness: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), DRAWINGS_PER_DIGIT)
    files = [encode(picture(digit(label, rng), thickness)) for label in labels.tolist()]
    images = scale_pixels(read_pictures(files, (28, 28), recenter=True))
    answers = ModelRepository(ROOT / "models").load("mnist").model.predict(images).argmax(axis=0)
    wrong = answers != labels
    mistakes = Counter(zip(labels[wrong].tolist(), answers[wrong].tolist(), strict=True))
    assert wrong.mean() <= 0.05, mistakes
