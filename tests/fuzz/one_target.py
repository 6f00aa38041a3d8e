"""One target under libFuzzer, which ends its process: `python -m tests.fuzz.one_target TARGET`."""

import os
import sys
import traceback

import atheris

with atheris.instrument_imports(include=["nncore", "service", "trainer"]):
    from tests.fuzz.targets import TARGETS


def run_once(data: bytes) -> None:
    try:
        TARGETS[sys.argv[1]](data)
    except BaseException:  # noqa: BLE001 - any exception is a fault
        traceback.print_exc()
        os.abort()  # libFuzzer keeps the input


atheris.Setup(sys.argv[1:], run_once)
atheris.Fuzz()
