"""The servers that `benchmarks.service` compares: how each is started and asked."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import BASELINE_COMMIT, PEERS, ROOT, check_out_baseline
from benchmarks.protocols import LISTS, PREDICT, V2_BINARY, V2_JSON, Protocol
from nncore.repository import MANIFEST_FILE, WEIGHTS_FILE, ModelRepository
from tests.support.server import COMMAND

OURS, BINARY, EMPTY = "Nodestack", "Nodestack, binary tensors", "an empty Flask route"
FASTAPI, MLSERVER, BENTOML, LITSERVE = "FastAPI", "MLServer", "BentoML", "LitServe"
PACKAGES = ("fastapi", "uvicorn", "mlserver", "bentoml", "litserve", "onnxruntime")
BASELINE = f"{OURS} at {BASELINE_COMMIT}"
_SERVERS = Path(__file__).with_name("servers")


@dataclass(frozen=True)
class Contender:
    """A server and how it is asked.

    Attributes:
        command: Starts it, with `{port}` for the port; empty where the server of OURS is asked.
        path: Its path for predictions.
        protocol: How a request is written and a response read.
        predicts: Whether it returns predictions.
        variables: Its environment variables, with the same placeholder.
        folder: Its working directory.
    """

    command: tuple[str, ...]
    path: str = "/predict"
    protocol: Protocol = LISTS
    predicts: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT


def _variables(workers: int) -> dict[str, str]:
    # No contender logs requests.
    return {"PORT": "{port}", "WEB_CONCURRENCY": str(workers), "LOG_LEVEL": "warning"}


def contenders(folder: Path, onnx_file: Path, workers: int) -> dict[str, Contender]:
    """Return the contenders by name.

    Args:
        folder: What a server writes goes there.
        onnx_file: The shipped network, for onnxruntime.
        workers: Worker processes; BentoML and LitServe always have two.
    """
    ours = _variables(workers) | {"MODEL_DIR": str(ROOT / "models")}
    programs = PEERS / "bin"
    peer = {
        "MODEL": str(onnx_file),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(_SERVERS),
    }
    return {
        OURS: Contender(COMMAND, protocol=PREDICT, variables=ours),
        BINARY: Contender((), "/v2/models/mnist/infer", V2_BINARY),
        EMPTY: Contender(
            (*COMMAND, "benchmarks.servers.empty_route:app"), predicts=False, variables=ours
        ),
        FASTAPI: Contender(
            (
                *(str(programs / "uvicorn"), "with_fastapi:app", "--port", "{port}"),
                *("--workers", str(workers), "--no-access-log", "--log-level", "warning"),
            ),
            variables=peer,
        ),
        MLSERVER: Contender(
            (str(programs / "mlserver"), "start", str(folder)),
            "/v2/models/mnist/infer",
            V2_JSON,
            variables=peer
            | {
                "MLSERVER_DEBUG": "false",
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_HTTP_PORT": "{port}",
                "MLSERVER_GRPC_PORT": "0",
                "MLSERVER_METRICS_ENDPOINT": "",
                "MLSERVER_METRICS_DIR": str(folder),
                "MLSERVER_ENVIRONMENTS_DIR": str(folder),
                "MLSERVER_PARALLEL_WORKERS": str(workers),
                "MLSERVER_MODEL_NAME": "mnist",
                "MLSERVER_MODEL_IMPLEMENTATION": "with_mlserver.Runtime",
            },
        ),
        BENTOML: Contender(
            (
                *(str(programs / "bentoml"), "serve", "with_bentoml:Classifier"),
                *("--working-dir", str(_SERVERS), "--host", "127.0.0.1", "--port", "{port}"),
            ),
            variables=peer | {"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"},
        ),
        LITSERVE: Contender(
            (str(programs / "python"), str(_SERVERS / "with_litserve.py"), "{port}"),
            variables=peer,
        ),
    }


def _publish_for_baseline(version: Path) -> None:
    """Replace a version of the baseline by the newest network, in format 1 of `model.json`."""
    repository = ModelRepository(ROOT / "models")
    network = repository.load("mnist")
    newest = repository.root / "mnist" / str(network.manifest.version)
    document = json.loads((newest / MANIFEST_FILE).read_text())
    document.pop("members_sha256")
    document |= {"format_version": 1, "version": 1, "layers": list(network.model.layer_sizes)}
    (version / MANIFEST_FILE).write_text(json.dumps(document))
    shutil.copyfile(newest / WEIGHTS_FILE, version / WEIGHTS_FILE)


def baseline(folder: Path) -> Contender:
    """Check out and install the commit that the CPU time is compared with; it has one worker.

    Raises:
        subprocess.CalledProcessError: The history or a package is not available.
    """
    source, environment = check_out_baseline(folder / "source"), folder / "environment"
    _publish_for_baseline(source / "models" / "mnist" / "1")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    requirements = str(source / "requirements" / "service.txt")
    pip = (str(environment / "bin" / "pip"), "install", "--quiet")
    subprocess.run([*pip, "--require-hashes", "--requirement", requirements], check=True)
    return Contender(
        (
            *(str(environment / "bin" / "gunicorn"), "--config", "service/gunicorn_conf.py"),
            "service:create_app()",
        ),
        protocol=PREDICT,
        variables=_variables(1),
        folder=source,
    )
