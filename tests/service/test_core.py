from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
from flask import Flask

from nncore.types import Array
from service.admission import Admission
from service.core import Core
from service.metrics import Metrics
from service.models import Models
from service.observation import OBSERVATION, Observation
from service.settings import Settings
from service.turns import Turns

IMAGE = np.zeros((1, 784), np.float32)


def test_a_request_that_decodes_for_long_keeps_none_from_its_turn(
    app: Flask, tmp_path: Path
) -> None:
    models = Models(Settings(model_dir=str(tmp_path)), Metrics())
    models.refresh()
    core, began, go = Core(models, Admission(8), Turns()), Event(), Event()

    def decode_for_long(_: bytes) -> Array:
        began.set()
        assert go.wait(20)
        return IMAGE

    def ask(decode: Callable[[bytes], Array]) -> int:
        environ = {OBSERVATION: Observation("")}
        with app.test_request_context(method="POST", data=b"x", environ_overrides=environ):
            return core.answer(models.get(), decode, len)

    with ThreadPoolExecutor(2) as clients:
        slow = clients.submit(ask, decode_for_long)
        assert began.wait(20)
        assert clients.submit(ask, lambda _: IMAGE).result(20) == 1
        go.set()
        assert slow.result(20) == 1
