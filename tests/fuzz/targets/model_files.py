"""The two files of a published version, each changed while the other is whole."""

import hashlib
from dataclasses import replace

import numpy as np

from nncore.repository import DamagedVersionError, Manifest, PublishedModel
from tests.fuzz.published import MANIFEST, NAME, WEIGHTS, write_version
from tests.fuzz.targets.expectations import check_message


def read_manifest(data: bytes) -> bool:
    """Load a version with this `model.json`."""
    return _load(manifest=data, weights=WEIGHTS)


def read_weights(data: bytes) -> bool:
    """Load a version with this `model.safetensors`, of which the manifest has the digest."""
    manifest = replace(Manifest.from_json(MANIFEST), sha256=hashlib.sha256(data).hexdigest())
    return _load(manifest=manifest.to_json().encode(), weights=data)


def _load(manifest: bytes, weights: bytes) -> bool:
    try:
        published = write_version(manifest, weights).load(NAME)
    except DamagedVersionError as error:
        check_message(str(error))
        return False
    _check(published)
    return True


def _check(published: PublishedModel) -> None:
    manifest, model = published.manifest, published.model
    assert model.layer_sizes == tuple(manifest.layers)
    answers = model.predict(np.ones((2, *model.input_shape), np.float32))
    assert answers.shape == (len(manifest.labels), 2)
    manifest.to_json()
