"""Who is compared: servers, each with two workers, and how each is asked."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.serving.protocols import LISTS, PREDICT, V2_BINARY, V2_JSON, Protocol
from benchmarks.serving.server import ROOT, WORKERS

OURS, BINARY, EMPTY = "nodestack", "nodestack, binary tensors", "an empty Flask route"
FASTAPI, MLSERVER, BENTOML, LITSERVE = "FastAPI", "MLServer", "BentoML", "LitServe"
PEERS = (FASTAPI, MLSERVER, BENTOML, LITSERVE)
_SERVERS = Path(__file__).parents[1] / "servers"
_GUNICORN = (".venv/bin/gunicorn", "--config", "service/gunicorn_conf.py")


@dataclass(frozen=True)
class Contender:
    """A server and a way to ask it.

    Attributes:
        path: Where it is asked for predictions.
        protocol: How; None where the answer says nothing.
        environment: The folder of its Python environment.
        packages: What its speed comes from.
        command: Starts it; empty where another contender's server is asked.
        variables: Its environment variables, besides MODEL, the network in ONNX's form.
    """

    path: str
    protocol: Protocol | None
    environment: str = ".venv"
    packages: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def contenders(folder: Path) -> dict[str, Contender]:
    """Give all of them by name.

    Args:
        folder: What a server writes goes there.
    """
    ours = {
        "PORT": "{port}",
        "WEB_CONCURRENCY": str(WORKERS),
        "MODEL_DIR": str(ROOT / "models"),
        "LOG_LEVEL": "warning",  # like all of them, no line a request
    }
    return {
        OURS: Contender(
            path="/predict",
            protocol=PREDICT,
            packages=("gunicorn", "gevent", "flask", "numpy"),
            command=(*_GUNICORN, "service:create_app()"),
            variables=ours,
        ),
        BINARY: Contender(path="/v2/models/mnist/infer", protocol=V2_BINARY),
        EMPTY: Contender(
            path="/predict",
            protocol=None,
            # Ours is made for the service alone, from this one.
            command=(*_GUNICORN, "--worker-class", "gevent", "benchmarks.servers.empty_route:app"),
            variables=ours,
        ),
        FASTAPI: _peer(
            "fastapi",
            ("fastapi", "uvicorn", "uvloop", "httptools", "onnxruntime"),
            *("uvicorn", "with_fastapi:app", "--app-dir", str(_SERVERS), "--port", "{port}"),
            *("--workers", str(WORKERS), "--no-access-log", "--log-level", "warning"),
        ),
        MLSERVER: _peer(
            "mlserver",
            ("mlserver", "uvicorn", "onnxruntime"),
            *("mlserver", "start", str(folder)),
            path="/v2/models/mnist/infer",
            protocol=V2_JSON,
            variables={
                "PYTHONPATH": str(_SERVERS),
                "MLSERVER_DEBUG": "false",
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_HTTP_PORT": "{port}",
                "MLSERVER_GRPC_PORT": "0",
                "MLSERVER_METRICS_ENDPOINT": "",
                "MLSERVER_METRICS_DIR": str(folder),
                "MLSERVER_ENVIRONMENTS_DIR": str(folder),
                "MLSERVER_PARALLEL_WORKERS": str(WORKERS),
                "MLSERVER_MODEL_NAME": "mnist",
                "MLSERVER_MODEL_IMPLEMENTATION": "with_mlserver.Runtime",
            },
        ),
        BENTOML: _peer(
            "bentoml",
            ("bentoml", "uvicorn", "onnxruntime"),
            *("bentoml", "serve", "with_bentoml:Classifier", "--working-dir", str(_SERVERS)),
            *("--host", "127.0.0.1", "--port", "{port}"),
            variables={"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"},
        ),
        LITSERVE: _peer(
            "litserve",
            ("litserve", "uvicorn", "uvloop", "httptools", "onnxruntime"),
            *("python", str(_SERVERS / "with_litserve.py"), "{port}"),
        ),
    }


def installed(contender: Contender) -> bool:
    """Tell whether a contender's environment is there."""
    return (ROOT / contender.environment / "bin").exists()


def versions(contender: Contender) -> dict[str, str]:
    """Give the version of each package that a contender's speed comes from."""
    if contender.environment == ".venv":
        return {package: version(package) for package in contender.packages}
    program = (
        "import importlib.metadata as m, json, sys; "
        "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
    )
    output = subprocess.check_output(
        [ROOT / contender.environment / "bin" / "python", "-c", program, *contender.packages]
    )
    found: dict[str, str] = json.loads(output)
    return found


def _peer(
    environment: str,
    packages: tuple[str, ...],
    program: str,
    *arguments: str,
    path: str = "/predict",
    protocol: Protocol = LISTS,
    variables: Mapping[str, str] | None = None,
) -> Contender:
    folder = f".venv-bench-{environment}"
    return Contender(
        path=path,
        protocol=protocol,
        environment=folder,
        packages=packages,
        command=(f"{folder}/bin/{program}", *arguments),
        variables={"PATH": f"{ROOT / folder}/bin:{os.environ['PATH']}", **(variables or {})},
    )
