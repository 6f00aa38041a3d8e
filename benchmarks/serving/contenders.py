"""The servers that are compared, and how each is asked."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving.protocols import LISTS, PREDICT, V2_BINARY, V2_JSON, Protocol
from benchmarks.serving.server import ROOT, Server

OURS, BINARY, EMPTY = "Nodestack", "Nodestack, binary tensors", "an empty Flask route"
FASTAPI, MLSERVER, BENTOML, LITSERVE = "FastAPI", "MLServer", "BentoML", "LitServe"
BASELINE_COMMIT = "5f694d1"
_SERVERS = Path(__file__).parents[1] / "servers"


@dataclass(frozen=True)
class Contender:
    """A server and how it is asked.

    Attributes:
        command: Starts it, with `{port}` for the port and `{workers}` for the number of workers;
            empty where the server of OURS is asked.
        path: Its path for predictions.
        protocol: How a request is written and a response read; None where a response says nothing.
        variables: Its environment variables, with the same placeholders.
        folder: Its working directory.
    """

    command: tuple[str, ...]
    path: str = "/predict"
    protocol: Protocol | None = LISTS
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT

    @property
    def is_installed(self) -> bool:
        """Whether its Python environment is there."""
        return not self.command or (self.folder / self.command[0]).exists()

    def start(self, log: Path, workers: int) -> Server:
        """Start it with a number of workers (BentoML and LitServe: always two)."""

        def fill(text: str) -> str:
            return text.replace("{workers}", str(workers))

        variables = {name: fill(value) for name, value in self.variables.items()}
        return Server([fill(part) for part in self.command], log, variables, self.folder)


def contenders(folder: Path, onnx_file: Path) -> dict[str, Contender]:
    """Return the contenders by name.

    Args:
        folder: What a server writes goes there.
        onnx_file: The shipped network, for onnxruntime.
    """
    ours = {
        "PORT": "{port}",
        "WEB_CONCURRENCY": "{workers}",
        "MODEL_DIR": str(ROOT / "models"),
        "LOG_LEVEL": "warning",  # no contender logs requests
    }
    peer = {"MODEL": str(onnx_file)}
    return {
        OURS: Contender((sys.executable, "-m", "service"), protocol=PREDICT, variables=ours),
        BINARY: Contender((), "/v2/models/mnist/infer", V2_BINARY),
        EMPTY: Contender(
            (sys.executable, "-m", "service", "benchmarks.servers.empty_route:app"),
            protocol=None,
            variables=ours,
        ),
        FASTAPI: Contender(
            (
                *(".venv-bench/bin/uvicorn", "with_fastapi:app", "--port", "{port}"),
                *("--app-dir", str(_SERVERS), "--workers", "{workers}"),
                *("--no-access-log", "--log-level", "warning"),
            ),
            variables=peer,
        ),
        MLSERVER: Contender(
            (".venv-bench/bin/mlserver", "start", str(folder)),
            "/v2/models/mnist/infer",
            V2_JSON,
            peer
            | {
                "PATH": f"{ROOT / '.venv-bench'}/bin:{os.environ['PATH']}",
                "PYTHONPATH": str(_SERVERS),
                "MLSERVER_DEBUG": "false",
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_HTTP_PORT": "{port}",
                "MLSERVER_GRPC_PORT": "0",
                "MLSERVER_METRICS_ENDPOINT": "",
                "MLSERVER_METRICS_DIR": str(folder),
                "MLSERVER_ENVIRONMENTS_DIR": str(folder),
                "MLSERVER_PARALLEL_WORKERS": "{workers}",
                "MLSERVER_MODEL_NAME": "mnist",
                "MLSERVER_MODEL_IMPLEMENTATION": "with_mlserver.Runtime",
            },
        ),
        BENTOML: Contender(
            (
                *(".venv-bench/bin/bentoml", "serve", "with_bentoml:Classifier"),
                *("--working-dir", str(_SERVERS), "--host", "127.0.0.1", "--port", "{port}"),
            ),
            variables=peer
            | {
                "PATH": f"{ROOT / '.venv-bench'}/bin:{os.environ['PATH']}",
                "BENTOML_HOME": str(folder),
                "BENTOML_DO_NOT_TRACK": "True",
            },
        ),
        LITSERVE: Contender(
            (".venv-bench/bin/python", str(_SERVERS / "with_litserve.py"), "{port}"),
            variables=peer,
        ),
    }


def baseline() -> Contender:
    """Export and install the commit that the CPU time is compared with; once, it stays."""
    environment = ROOT / f".venv-bench-{BASELINE_COMMIT}"
    source = environment / "source"
    if not (environment / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        source.mkdir(exist_ok=True)
        archive = subprocess.check_output(["git", "archive", BASELINE_COMMIT], cwd=ROOT)
        subprocess.run(["tar", "--extract"], cwd=source, input=archive, check=True)
        pip = (str(environment / "bin" / "pip"), "install", "--quiet")
        requirements = str(source / "requirements" / "service.txt")
        subprocess.run([*pip, "--require-hashes", "--requirement", requirements], check=True)
        (environment / "installed").touch()
    return Contender(
        (
            *(str(environment / "bin" / "gunicorn"), "--config", "service/gunicorn_conf.py"),
            "service:create_app()",
        ),
        protocol=PREDICT,
        variables={"PORT": "{port}", "WEB_CONCURRENCY": "{workers}", "LOG_LEVEL": "warning"},
        folder=source,
    )
