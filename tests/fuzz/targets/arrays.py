"""Images as arrays of bytes: raw ones, and `.npy` files."""

from functools import partial
from io import BytesIO

import numpy as np

from nncore import MAX_PIXEL
from service.inputs.raw_arrays import read_npy, read_raw
from tests.fuzz.published import served_model
from tests.fuzz.targets.expectations import check_images, unless_refused


def read_octets(body: bytes) -> bool:
    """Read a body of type application/octet-stream, in both ranges."""
    accepted = False
    for max_value in (1, MAX_PIXEL):
        images = unless_refused(partial(read_raw, body, served_model().images, max_value))
        if images is not None:
            accepted = True
            check_images(images, np.array([*body]) / max_value)
    return accepted


def read_npy_file(body: bytes) -> bool:
    """Read a body of type application/x-npy, in both ranges."""
    model = served_model()
    accepted = False
    for max_value in (1, MAX_PIXEL):
        images = unless_refused(partial(read_npy, body, model.images, max_value))
        if images is not None:
            accepted = True
            array = np.load(BytesIO(body), allow_pickle=False)
            check_images(
                images, array.astype(float) / (1 if array.dtype == np.bool_ else max_value)
            )
    return accepted
