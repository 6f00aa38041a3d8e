"""`python -m service` serves the model repository: it starts gunicorn with our configuration."""

import argparse
import os
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from service.settings import Settings, SettingsError

# Of the GNU C library. Small leftovers stay with the process (getting the memory of 256 images
# back from the system takes a third of their time), blocks of more than 4 MiB, as of large
# pictures, are returned, and all threads share one arena.
_MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": str(10 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
}


def main(arguments: Sequence[str] | None = None, prog: str = "python -m service") -> None:
    """Replace this process by gunicorn, which gets the arguments as its options."""
    parser = argparse.ArgumentParser(
        usage=f"{prog} [-h] [OPTION OF GUNICORN ...]",
        description="Serve the model repository over HTTP.",
        epilog="The settings are environment variables such as MODEL_DIR (default: models), "
        "HOST (127.0.0.1) and PORT (8000); docs/settings.md lists them.",
        allow_abbrev=False,
    )
    _, options = parser.parse_known_args(arguments)
    try:
        Settings.from_environment(os.environ)  # gunicorn would end with a traceback
    except SettingsError as error:
        parser.exit(1, f"{error}\n")
    # Its script, not `python -m gunicorn`, which SIGUSR2 could not start again.
    gunicorn = Path(sysconfig.get_path("scripts"), "gunicorn")
    configuration = Path(__file__).with_name("gunicorn_conf.py")
    command = [str(gunicorn), "--config", str(configuration), *options]
    os.execve(gunicorn, command, {**_MALLOC, **os.environ})  # noqa: S606  # nosec B606


if __name__ == "__main__":
    main()
