"""Publishing is atomic, versions are immutable, and loading rejects every damaged version."""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from nncore import FCModel, LinearLayer, scale_pixels
from nncore.repository import (
    DamagedVersionError,
    ModelRepository,
    PublishedModel,
    RepositoryError,
    VersionNotFoundError,
)
from nncore.types import Array
from tests.support.data import tree

SHAPE = (4, 3)


def small_model(seed: int = 0) -> FCModel:
    return FCModel(SHAPE, (4,), 3, rng=np.random.default_rng(seed))


def images(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def publish(
    repository: ModelRepository, seed: int = 0, name: str = "digits", model: FCModel | None = None
) -> PublishedModel:
    return repository.publish(
        name,
        model or small_model(seed),
        labels=["a", "b", "c"],
        probe_images=images(2, seed),
        provenance={"recipe": {"seed": seed}},
        report={"README.md": b"# a card"},
    )


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "models")


@pytest.fixture
def version(repository: ModelRepository) -> Path:
    """The folder of a published version."""
    publish(repository)
    return repository.root / "digits" / "1"


def test_a_published_version_loads_as_the_same_network(repository: ModelRepository) -> None:
    publish(repository, seed=3)
    loaded = repository.load("digits")
    x = scale_pixels(images(7))
    np.testing.assert_array_equal(loaded.model.predict(x), small_model(3).predict(x))


def test_loading_draws_no_random_weights(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository)
    for function in ("kaiming_init", "randn"):
        monkeypatch.setattr(f"nncore.linear.{function}", Mock(side_effect=AssertionError))
    monkeypatch.setattr(LinearLayer.__init__, "__defaults__", (False, None))
    repository.load("digits")


def test_the_manifest_describes_the_version(version: Path) -> None:
    document = json.loads((version / "model.json").read_text())
    weights = (version / "model.safetensors").read_bytes()
    assert document["format_version"] == 2
    assert (document["name"], document["version"]) == ("digits", 1)
    assert document["nodes"] == linear_and_relu(12, 4, 3)
    assert document["input"] == {"shape": [4, 3], "dtype": "float32", "range": [0, 1]}
    assert document["sha256"] == hashlib.sha256(weights).hexdigest()
    assert document["recipe"] == {"seed": 0}
    assert document["libraries"]["numpy"] == np.__version__
    assert document["created"].endswith("+00:00")
    assert len(document["probes"]) == 2
    assert (version / "report" / "README.md").read_bytes() == b"# a card"


def test_versions_count_up_and_never_change(repository: ModelRepository, version: Path) -> None:
    first = tree(version)
    for seed in range(2, 11):
        publish(repository, seed)
    assert repository.versions("digits") == list(range(1, 11))
    assert tree(version) == first
    assert repository.load("digits").manifest.version == 10
    assert repository.load("digits", 4).manifest.provenance["recipe"] == {"seed": 4}


def test_models_and_versions_are_listed_in_their_order(
    repository: ModelRepository, version: Path
) -> None:
    assert ModelRepository(repository.root / "nothing").names() == []
    publish(repository, name="a")
    for name in ("0", "01", "-2", "3.0", "x", ".publishing", "²"):
        version.with_name(name).mkdir()
    (repository.root / ".hidden").mkdir()
    (repository.root / "notes.txt").write_text("not a model")
    assert repository.names() == ["a", "digits"]
    assert repository.versions("digits") == [1]


def test_a_missing_model_or_version_is_an_error(repository: ModelRepository) -> None:
    with pytest.raises(VersionNotFoundError, match="no model 'digits' in"):
        repository.load("digits")
    publish(repository)
    with pytest.raises(VersionNotFoundError, match=r"no version 7 \(available: 1\)"):
        repository.load("digits", 7)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "-x", ".hidden", "a b", "a\n"])
def test_a_name_outside_the_repository_is_rejected(repository: ModelRepository, name: str) -> None:
    for use in (repository.versions, repository.load, repository.check_writable):
        with pytest.raises(RepositoryError, match="expected a model name"):
            use(name)


def members(**changes: Any) -> Callable[[Path], object]:
    """Change the manifest, and remove the digest of its members."""

    def edit(folder: Path) -> None:
        document = json.loads((folder / MANIFEST).read_text())
        del document["members_sha256"]
        (folder / MANIFEST).write_text(json.dumps(document | changes))

    return edit


def tensors(change: Callable[[dict[str, Array]], object]) -> Callable[[Path], object]:
    """Change the weights, with a digest that fits."""

    def damage(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        weights = save(state)
        (folder / "model.safetensors").write_bytes(weights)
        members(sha256=hashlib.sha256(weights).hexdigest())(folder)

    return damage


def bias(change: Callable[[Array], Array]) -> Callable[[Path], object]:
    return tensors(lambda state: state.update({"0.bias": change(state["0.bias"])}))


def replaced(name: str, put: Callable[[Path], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        put(folder / name)

    return damage


def linear_and_relu(*sizes: int) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for before, after in pairwise(sizes):
        linear = {"type": "LinearLayer", "input_size": before, "output_size": after, "bias": True}
        nodes += [{"type": "ReLU"}, linear] if nodes else [linear]
    return nodes


WEIGHTS, MANIFEST = "model.safetensors", "model.json"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights missing": (replaced(WEIGHTS, lambda _: None), "No such file"),
    "weights a pipe": (replaced(WEIGHTS, os.mkfifo), "expected model.safetensors to hold"),
    "weights cut": (lambda at: os.truncate(at / WEIGHTS, 200), "expected model.safetensors to"),
    "weights longer": (
        lambda at: (at / WEIGHTS).write_bytes(bytes(3_000_000)),
        "expected model.safetensors to hold",
    ),
    "manifest missing": (replaced(MANIFEST, lambda _: None), "No such file"),
    "manifest a device": (
        replaced(MANIFEST, lambda path: path.symlink_to("/dev/zero")),
        "expected model.json to be a file",
    ),
    "manifest huge": (lambda at: os.truncate(at / MANIFEST, 2**40), "of 1099511627776 bytes"),
    "manifest not text": (lambda at: (at / MANIFEST).write_bytes(b"\x80{}"), "can't decode"),
    "nested deeply": (lambda at: (at / MANIFEST).write_text("[" * 100_000), "nested too deep"),
    "other format": (members(format_version=3), "expected format_version 1 or 2, got 3"),
    "other name": (members(name="letters"), "of digits 1, got one of letters 1"),
    "other digest": (members(sha256="0" * 64), "SHA-256 0000"),
    "no nodes": (members(nodes=[]), "expected at least one node"),
    "other nodes": (members(nodes=linear_and_relu(12, 6, 3)), r"float32 \(6, 12\), got float32"),
    "a node of another kind": (members(nodes=[{"type": "FCModel"}]), "expected a node of nncore"),
    "an abstract node": (
        members(
            nodes=[*linear_and_relu(12, 4), {"type": "Activation"}, *linear_and_relu(4, 3)],
        ),
        "Activation must define apply",
    ),
    "a frozen node": (
        members(nodes=[{"type": "FrozenLinear", "w": [1], "b": None}]),
        "expected a node of nncore",
    ),
    "an unknown node": (members(nodes=[{"type": "Swish"}]), "expected a node of nncore"),
    "an unknown argument": (members(nodes=[{"type": "ReLU", "slope": 1}]), "unexpected keyword"),
    "huge layer": (members(nodes=linear_and_relu(12, 10**12, 3)), "llocate"),
    "huge number": (members(nodes=linear_and_relu(12, 10**30, 3)), "dimension"),
    "empty layer": (members(nodes=linear_and_relu(12, 0, 3)), "sizes of 1 or more"),
    "layers that do not fit": (
        members(nodes=[*linear_and_relu(12, 4), *linear_and_relu(3, 4)]),
        "expected the tensors",
    ),
    "other shape": (members(input={"shape": [4, 4]}), "of 16 pixels"),
    "empty shape": (members(input={"shape": [12, 0]}), "of 0 pixels"),
    "other labels": (members(labels=["a"]), "and 1 probabilities"),
    "no probes": (members(probes=[]), "at least one probe"),
    "short probe": (members(probes=[{"pixels": [1], "probabilities": [1, 0, 0]}]), "of 12 pixels"),
    "other probe": (
        members(probes=[{"pixels": [0] * 12, "probabilities": [1, 0, 0]}]),
        "expected the probabilities of the probes",
    ),
    "NaN": (bias(lambda b: b * np.nan), "expected 0.bias to be finite"),
    "other weights": (bias(lambda b: b + 5), "expected the probabilities of the probes"),
    "integers": (bias(lambda b: b.astype(np.int32)), r"float32 \(4,\), got int32"),
    "renamed tensor": (
        tensors(lambda state: state.update({"1.weight": state.pop("2.weight")})),
        "expected the tensors",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_version_is_rejected_with_its_cause_in_one_line(
    repository: ModelRepository, version: Path, kind: str
) -> None:
    damage, message = DAMAGE[kind]
    damage(version)
    with pytest.raises(DamagedVersionError, match=message) as error:
        repository.load("digits")
    assert "\n" not in str(error.value)


def test_every_member_of_the_signature_is_required(
    repository: ModelRepository, version: Path
) -> None:
    members()(version)
    repository.load("digits")  # a digest of the members is optional
    original = (version / MANIFEST).read_text()
    for member in ("name", "version", "nodes", "input", "labels", "sha256", "probes"):
        document = json.loads(original)
        del document[member]
        (version / MANIFEST).write_text(json.dumps(document))
        with pytest.raises(DamagedVersionError, match=f"expected {member} to be"):
            repository.load("digits")


def test_a_flipped_bit_is_detected_or_has_no_effect(
    repository: ModelRepository, version: Path
) -> None:
    manifest, accepted, tried = repository.load("digits").manifest, 0, 0
    for name, step in ((MANIFEST, 5), (WEIGHTS, 11)):
        content = (version / name).read_bytes()
        for position in range(0, len(content), step):
            flipped = bytearray(content)
            flipped[position] ^= 1 << position % 8
            (version / name).write_bytes(flipped)
            tried += 1
            with suppress(DamagedVersionError):
                loaded = repository.load("digits").manifest
                accepted += 1
                assert name == MANIFEST
                assert replace(loaded, provenance=manifest.provenance) == manifest
        (version / name).write_bytes(content)
    assert accepted < tried / 50  # whitespace, and the name of the digest's member


def test_a_failure_of_any_write_leaves_the_repository_unchanged(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository)
    before = tree(repository.root)
    fsync, countdown = os.fsync, 0

    def fail(descriptor: int) -> None:
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    publish(repository, name="counted")
    before |= tree(repository.root)
    calls = -countdown
    assert calls >= 7  # weights, manifest, report, its folder, the version's, the model's, the root
    for failing in range(1, calls):  # the last call comes after the rename
        for name in ("digits", "new"):
            countdown = failing
            with pytest.raises(OSError, match="No space left"):
                publish(repository, name=name)
        assert tree(repository.root) == before


def test_files_and_folders_are_synced_before_the_rename_and_the_folder_after(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def record_sync(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def record_rename(path: Path, target: Path) -> Path:
        events.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "rename", record_rename)
    publish(repository)
    before, after = events[: events.index("rename")], events[events.index("rename") + 1 :]
    assert {WEIGHTS, MANIFEST, "README.md", "report", ".publishing"} <= {*before}
    assert after == ["digits"]


def test_an_interrupt_leaves_the_repository_unchanged(
    repository: ModelRepository, version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(repository.root)
    monkeypatch.setattr(Path, "rename", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        publish(repository)
    assert tree(repository.root) == before


def test_folders_of_killed_publishers_are_ignored_and_removed_by_the_next(
    repository: ModelRepository, version: Path
) -> None:
    for name in ("digits", "letters"):
        leftover = repository.root / name / ".publishing"
        leftover.mkdir(parents=True)
        (leftover / WEIGHTS).write_bytes(b"half")
    assert repository.load("digits").manifest.version == 1
    publish(repository)
    assert repository.names() == ["digits"]
    assert sorted(path.name for path in version.parent.iterdir()) == ["1", "2"]


def test_concurrent_publishers_get_different_versions(repository: ModelRepository) -> None:
    with ThreadPoolExecutor(8) as threads:
        published = list(threads.map(lambda seed: publish(repository, seed), range(16)))
    assert sorted(each.manifest.version for each in published) == list(range(1, 17))
    for each in published:
        assert repository.load("digits", each.manifest.version).manifest == each.manifest


def test_a_network_with_nan_is_not_published(repository: ModelRepository) -> None:
    model = small_model()
    model.layers[0].parameters[0][...] = np.nan
    with pytest.raises(DamagedVersionError, match="probes"):
        publish(repository, model=model)
    assert tree(repository.root) == {}


def test_check_writable_fails_early_and_leaves_no_files(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path / "models")
    repository.check_writable("digits")
    assert tree(repository.root) == {}
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OSError, match="file"):
        ModelRepository(tmp_path / "file").check_writable("digits")


def test_a_fingerprint_changes_with_the_files(repository: ModelRepository, version: Path) -> None:
    before = repository.fingerprint("digits", 1)
    assert repository.fingerprint("digits", 1) == before
    copy = version / "copy"
    copy.write_bytes((version / WEIGHTS).read_bytes())
    copy.rename(version / WEIGHTS)
    after = repository.fingerprint("digits", 1)
    (version / WEIGHTS).unlink()
    assert len({before, after, repository.fingerprint("digits", 1)}) == 3
    assert repository.fingerprint("digits", 7) == repository.fingerprint("digits", 8)
