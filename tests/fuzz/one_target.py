"""One target under libFuzzer, which ends its process: `python -m tests.fuzz.one_target TARGET`."""

import os
import sys
import traceback

import atheris

with atheris.instrument_imports(include=["nncore", "service", "trainer"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz it with libFuzzer's options and corpora, which are the other arguments."""
    _, name, *options = sys.argv

    def try_one(data: bytes) -> None:
        try:
            TARGETS[name](data)
        except BaseException:  # noqa: BLE001 - whatever escapes is a find
            traceback.print_exc()
            os.abort()  # libFuzzer keeps the input; at an exit, others' handlers may come before

    atheris.Setup([name, *options], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
