"""The repository as a promise: a version is whole and right, or it is not there."""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from nncore import FCModel, scale_pixels
from nncore.repository import (
    DamagedVersionError,
    ModelRepository,
    PublishedModel,
    VersionNotFoundError,
)
from nncore.types import Array

INPUT_SHAPE, HIDDEN_SIZES, CLASSES = (4, 3), (4,), 3


def small_model(seed: int = 0) -> FCModel:
    return FCModel(INPUT_SHAPE, HIDDEN_SIZES, CLASSES, rng=np.random.default_rng(seed))


def publish(repository: ModelRepository, seed: int = 0, name: str = "digits") -> PublishedModel:
    return repository.publish(
        name,
        small_model(seed),
        labels=["a", "b", "c"],
        probe_images=images(2, seed),
        provenance={"recipe": {"seed": seed}},
        report={"README.md": b"# a card"},
    )


def images(count: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *INPUT_SHAPE), dtype=np.uint8)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "models")


def test_a_published_version_loads_as_the_same_network(repository: ModelRepository) -> None:
    publish(repository, seed=3)
    loaded = repository.load("digits")
    x = scale_pixels(images(7))
    np.testing.assert_array_equal(loaded.model.predict(x), small_model(3).predict(x))
    assert (loaded.manifest.version, loaded.manifest.labels) == (1, ["a", "b", "c"])


def test_weights_carry_the_names_and_shapes_of_a_torch_sequential(
    repository: ModelRepository,
) -> None:
    publish(repository)
    tensors = load_file(repository.root / "digits" / "1" / "model.safetensors")
    assert {name: (tensor.shape, tensor.dtype.name) for name, tensor in tensors.items()} == {
        "0.weight": ((4, 12), "float32"),
        "0.bias": ((4,), "float32"),
        "2.weight": ((3, 4), "float32"),
        "2.bias": ((3,), "float32"),
    }


def test_the_manifest_says_what_was_published(repository: ModelRepository) -> None:
    publish(repository, seed=2)
    folder = repository.root / "digits" / "1"
    document = json.loads((folder / "model.json").read_text())
    weights = (folder / "model.safetensors").read_bytes()
    assert document["format_version"] == 1
    assert (document["name"], document["version"]) == ("digits", 1)
    assert document["layers"] == [12, 4, 3]
    assert document["input"] == {"shape": [4, 3], "dtype": "float32", "range": [0, 1]}
    assert document["sha256"] == hashlib.sha256(weights).hexdigest()
    assert document["recipe"] == {"seed": 2}
    assert document["libraries"]["numpy"] == np.__version__
    assert document["created"].endswith("+00:00")
    assert len(document["probes"]) == 2
    assert (folder / "report" / "README.md").read_bytes() == b"# a card"


def test_versions_count_up_and_never_change(repository: ModelRepository) -> None:
    publish(repository, seed=1)
    first = tree(repository.root / "digits" / "1")
    for seed in range(2, 11):
        publish(repository, seed)
    assert repository.versions("digits") == list(range(1, 11))
    assert tree(repository.root / "digits" / "1") == first
    assert repository.load("digits").manifest.version == 10
    assert repository.load("digits", 4).manifest.provenance["recipe"] == {"seed": 4}


def test_only_positive_whole_numbers_are_versions(repository: ModelRepository) -> None:
    publish(repository)
    for name in ("0", "01", "-2", "3.0", "x", ".publishing", "²"):
        (repository.root / "digits" / name).mkdir()
    assert repository.versions("digits") == [1]


def test_a_missing_model_or_version_is_said_to_be_missing(repository: ModelRepository) -> None:
    with pytest.raises(VersionNotFoundError, match="no model 'digits' in"):
        repository.load("digits")
    publish(repository)
    with pytest.raises(VersionNotFoundError, match=r"no version 7 of model 'digits' .*there is 1"):
        repository.load("digits", 7)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", ".hidden", "a b", "a\n"])
def test_a_name_that_could_leave_the_repository_is_refused(
    repository: ModelRepository, name: str
) -> None:
    for use in (repository.versions, repository.load, repository.check_writable):
        with pytest.raises(ValueError, match="expected a model name"):
            use(name)


def edit(manifest: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(manifest.read_text())
    del document["members_sha256"]  # it would not fit any more
    change(document)
    manifest.write_text(json.dumps(document))


def replace_weights(folder: Path, change: Callable[[dict[str, Array]], object]) -> None:
    """Write other weights with the digest that belongs to them."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    weights = save(tensors)
    (folder / "model.safetensors").write_bytes(weights)
    edit(
        folder / "model.json",
        lambda document: document.update(sha256=hashlib.sha256(weights).hexdigest()),
    )


def swap(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def put_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def put_zeros_without_end(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def manifest_edit(**members: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "model.json", lambda document: document.update(members))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights gone": (lambda folder: (folder / "model.safetensors").unlink(), "No such file"),
    "weights a folder": (swap, "expected model.safetensors to hold|Is a directory"),
    "weights truncated": (
        lambda folder: os.truncate(folder / "model.safetensors", 200),
        "expected model.safetensors to hold",
    ),
    "weights longer": (
        lambda folder: (folder / "model.safetensors").write_bytes(bytes(3_000_000)),
        "expected model.safetensors to hold",
    ),
    "manifest gone": (lambda folder: (folder / "model.json").unlink(), "No such file"),
    "weights a pipe": (
        lambda folder: put_a_pipe(folder / "model.safetensors"),
        "expected model.safetensors to hold",
    ),
    "manifest a pipe": (
        lambda folder: put_a_pipe(folder / "model.json"),
        "expected model.json to be a file of at most 16777216 bytes, got prw",
    ),
    "manifest without end": (
        lambda folder: put_zeros_without_end(folder / "model.json"),
        "expected model.json to be a file",
    ),
    "manifest huge": (
        lambda folder: os.truncate(folder / "model.json", 2**40),
        "expected model.json to be a file .* of 1099511627776 bytes",
    ),
    "manifest truncated": (
        lambda folder: os.truncate(folder / "model.json", 100),
        "Unterminated|Expecting",
    ),
    "manifest no text": (
        lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe\xfd"),
        "can't decode",
    ),
    "manifest no object": (
        lambda folder: (folder / "model.json").write_text("[]"),
        "expected a JSON object",
    ),
    "manifest nested deep": (
        lambda folder: (folder / "model.json").write_text("[" * 100_000),
        "nested too deep",
    ),
    "other format": (manifest_edit(format_version=2), "expected format_version 1, got 2"),
    "other name": (manifest_edit(name="letters"), "to be of digits 1, got letters 1"),
    "other version": (manifest_edit(version=2), "to be of digits 1, got digits 2"),
    "version true": (manifest_edit(version=True), "expected version to be int"),
    "wrong digest": (manifest_edit(sha256="0" * 64), "SHA-256 0000"),
    "wrong layers": (
        manifest_edit(layers=[12, 6, 3]),
        r"expected 0.weight to be float32 \(6, 12\), got float32 \(4, 12\)",
    ),
    "huge layers": (manifest_edit(layers=[12, 10**12, 3]), "expected model.safetensors to hold"),
    "one layer": (manifest_edit(layers=[12]), "two layers at least"),
    "layer of nothing": (manifest_edit(layers=[12, 0, 3]), "sizes of 1 or more"),
    "wrong shape": (manifest_edit(input={"shape": [4, 4]}), "begin with the pixels"),
    "wrong labels": (manifest_edit(labels=["a"]), "end with the 1 labels"),
    "no probes": (manifest_edit(probes=[]), "at least one probe"),
    "short probe": (
        manifest_edit(probes=[{"pixels": [1], "probabilities": [1, 0, 0]}]),
        "expected probes of 12 pixels",
    ),
    "wrong probe": (
        manifest_edit(probes=[{"pixels": [0] * 12, "probabilities": [1, 0, 0]}]),
        "expected the probes' probabilities",
    ),
    "NaN weights": (
        lambda folder: replace_weights(
            folder, lambda t: t.update({"0.bias": t["0.bias"] * np.nan})
        ),
        "expected 0.bias to be finite",
    ),
    "infinite weights": (
        lambda folder: replace_weights(
            folder, lambda t: t.update({"0.bias": np.full_like(t["0.bias"], -np.inf)})
        ),
        "expected 0.bias to be finite",
    ),
    "other weights": (
        lambda folder: replace_weights(folder, lambda t: t.update({"0.bias": t["0.bias"] + 5})),
        "expected the probes' probabilities",
    ),
    "half precision": (
        lambda folder: replace_weights(
            folder, lambda t: t.update({"0.bias": t["0.bias"].astype(np.float16)})
        ),
        "expected model.safetensors to hold|expected 0.bias to be float32",
    ),
    "integers": (
        lambda folder: replace_weights(
            folder, lambda t: t.update({"0.bias": t["0.bias"].astype(np.int32)})
        ),
        r"expected 0.bias to be float32 \(4,\), got int32",
    ),
    "transposed": (
        lambda folder: replace_weights(
            folder, lambda t: t.update({"0.weight": np.ascontiguousarray(t["0.weight"].T)})
        ),
        r"expected 0.weight to be float32 \(4, 12\), got float32 \(12, 4\)",
    ),
    "renamed tensor": (
        lambda folder: replace_weights(folder, lambda t: t.update({"1.weight": t.pop("2.weight")})),
        "expected the tensors",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_version_is_refused_in_one_line_that_says_why(
    repository: ModelRepository, kind: str
) -> None:
    publish(repository)
    damage, message = DAMAGE[kind]
    damage(repository.root / "digits" / "1")
    with pytest.raises(DamagedVersionError, match=message) as error:
        repository.load("digits")
    assert "\n" not in str(error.value)


def test_a_version_that_is_a_file_is_refused(repository: ModelRepository) -> None:
    publish(repository)
    (repository.root / "digits" / "2").write_text("no version")
    with pytest.raises(DamagedVersionError):
        repository.load("digits")
    assert repository.load("digits", 1).manifest.version == 1


def test_every_member_of_the_signature_is_needed(repository: ModelRepository) -> None:
    publish(repository)
    manifest = repository.root / "digits" / "1" / "model.json"
    whole = manifest.read_text()
    for member in ("name", "version", "layers", "input", "labels", "sha256", "probes"):
        manifest.write_text(whole)
        edit(manifest, lambda document, member=member: document.pop(member))  # type: ignore[misc]
        with pytest.raises(DamagedVersionError, match=f"expected {member} to be"):
            repository.load("digits")


def test_a_flipped_bit_anywhere_in_the_weights_is_found(repository: ModelRepository) -> None:
    publish(repository)
    weights = repository.root / "digits" / "1" / "model.safetensors"
    whole = weights.read_bytes()
    for position in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        weights.write_bytes(flipped)
        with pytest.raises(DamagedVersionError, match=r"expected model\.safetensors of SHA-256"):
            repository.load("digits")


def test_a_flipped_bit_anywhere_in_the_manifest_is_found_or_changes_nothing(
    repository: ModelRepository,
) -> None:
    published = publish(repository)
    manifest = repository.root / "digits" / "1" / "model.json"
    whole = manifest.read_bytes()
    accepted = 0
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        manifest.write_bytes(flipped)
        with suppress(DamagedVersionError):
            loaded = repository.load("digits").manifest
            accepted += 1
            assert replace(loaded, provenance=published.manifest.provenance) == published.manifest
    assert accepted < len(whole) / 50  # its layout, and the name of the digest's member


def test_a_manifest_without_a_digest_is_read_as_well(repository: ModelRepository) -> None:
    published = publish(repository)
    edit(repository.root / "digits" / "1" / "model.json", lambda _: None)
    assert repository.load("digits").manifest == published.manifest


def test_a_failure_at_any_write_leaves_the_repository_as_it_was(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository)
    before = tree(repository.root)
    sync, calls = os.fsync, 0

    def count(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    publish(repository, name="counted")
    before |= tree(repository.root)

    for failing in range(1, calls):  # the last call comes after the version has appeared
        left = failing

        def fail(descriptor: int) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise OSError(28, "No space left on device")
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", fail)
        for name in ("digits", "new"):
            left = failing
            with pytest.raises(OSError, match="No space left"):
                publish(repository, name=name)
        assert tree(repository.root) == before


def test_an_interrupt_in_the_middle_leaves_the_repository_as_it_was(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository)
    before = tree(repository.root)

    def interrupt(_path: Path, _target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        publish(repository)
    assert tree(repository.root) == before


def test_the_litter_of_killed_publishers_is_not_served_and_goes_with_the_next_of_any_model(
    repository: ModelRepository,
) -> None:
    publish(repository)
    for name in ("digits", "letters"):
        litter = repository.root / name / ".publishing"
        litter.mkdir(parents=True)
        (litter / "model.safetensors").write_bytes(b"half")
    assert repository.load("digits").manifest.version == 1
    publish(repository)
    assert [path.name for path in repository.root.iterdir()] == ["digits"]
    assert sorted(path.name for path in (repository.root / "digits").iterdir()) == ["1", "2"]


def test_publishers_at_the_same_time_each_get_a_version_of_their_own(
    repository: ModelRepository,
) -> None:
    with ThreadPoolExecutor(8) as threads:
        published = list(threads.map(lambda seed: publish(repository, seed), range(16)))
    assert sorted(each.manifest.version for each in published) == list(range(1, 17))
    for each in published:
        loaded = repository.load("digits", each.manifest.version)
        assert loaded.manifest == each.manifest


def test_a_network_that_answers_nothing_finite_is_not_published(
    repository: ModelRepository,
) -> None:
    model = small_model()
    model.layers[0].parameters[0][...] = np.nan
    with pytest.raises(DamagedVersionError, match="probes"):
        repository.publish(
            "digits",
            model,
            labels=["a", "b", "c"],
            probe_images=images(1),
            provenance={},
            report={},
        )
    assert tree(repository.root) == {}


def test_a_place_that_cannot_be_written_is_found_before_it_matters(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(OSError, match="models"):
        ModelRepository(tmp_path / "models").check_writable("digits")


def test_checking_leaves_nothing_behind(repository: ModelRepository) -> None:
    repository.check_writable("digits")
    assert tree(repository.root) == {}


def test_the_models_are_listed_by_name(repository: ModelRepository) -> None:
    assert repository.names() == []
    for name in ("letters", "digits"):
        publish(repository, name=name)
    (repository.root / ".hidden").mkdir()
    (repository.root / "notes.txt").write_text("no model")
    assert repository.names() == ["digits", "letters"]


def test_a_fingerprint_changes_with_the_files(repository: ModelRepository) -> None:
    publish(repository)
    publish(repository)
    before = repository.fingerprint("digits", 1)
    assert repository.fingerprint("digits", 1) == before
    assert repository.fingerprint("digits", 2) != before
    weights = repository.root / "digits" / "1" / "model.safetensors"
    replacement = weights.with_name("replacement")
    replacement.write_bytes(weights.read_bytes())
    replacement.rename(weights)
    replaced = repository.fingerprint("digits", 1)
    assert replaced != before
    weights.unlink()
    assert repository.fingerprint("digits", 1) not in (before, replaced)
    assert repository.fingerprint("digits", 7) == repository.fingerprint("digits", 8)
