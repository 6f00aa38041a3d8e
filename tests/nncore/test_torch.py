"""The weights load into PyTorch with no code of ours, where there is PyTorch."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nncore import ModelRepository, scale_pixels

torch = pytest.importorskip("torch", reason="needs PyTorch")

MODELS = Path(__file__).parents[2] / "models"


def test_the_shipped_weights_answer_the_same_in_a_torch_sequential() -> None:
    published = ModelRepository(MODELS).load("mnist", 1)
    layers = [
        layer
        for inputs, outputs in pairwise(published.manifest.layers)
        for layer in (torch.nn.Linear(inputs, outputs), torch.nn.ReLU())
    ]
    network = torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(dim=1))
    weights = load_file(MODELS / "mnist" / "1" / "model.safetensors")
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})

    pixels = np.array([probe.pixels for probe in published.manifest.probes])
    images = scale_pixels(pixels)
    with torch.no_grad():
        answers = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(answers, published.model.predict(images).T, atol=1e-5)
