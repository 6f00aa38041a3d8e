"""The limits of any server: processes, one per core, that only parse or predict."""

import json
import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
import simdjson

from benchmarks.machine import ROOT
from nncore.repository import ModelRepository

FORWARD, PARSE_AND_FORWARD = "the forward pass alone", "parsing JSON and the forward pass alone"
_WARM_UPS = 5


def limit(name: str, body: bytes, workers: int, seconds: float) -> float:
    """Return the requests per second of some processes together; the body is that of `/predict`."""
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(workers), context.SimpleQueue()
    arguments = (name, body, seconds, start, rates)
    processes = [context.Process(target=_run, args=arguments) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return sum(float(rates.get()) for _ in processes)


def _run(name: str, body: bytes, seconds: float, start: Barrier, rates: Any) -> None:
    model = ModelRepository(ROOT / "models").load("mnist").model
    images = (np.array(json.loads(body)["pixels"]) / 255).astype(np.float32)
    parser: Any = simdjson.Parser()

    def answer() -> None:
        if name == PARSE_AND_FORWARD:
            parser.parse(body).at_pointer("/pixels").as_buffer(of_type="u")
        model.predict(images)

    for _ in range(_WARM_UPS):
        answer()
    start.wait()
    begin, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        answer()
        count += 1
    rates.put(count / elapsed)
