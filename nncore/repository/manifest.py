"""The manifest of a published version: the file `model.json`.

Format 2 lists the nodes of the network. Format 1, which is still read, has the width of each layer
and implies linear layers with ReLU between them.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from nncore.encoding import MAX_PIXEL

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Probe:
    """An image and the probabilities that the network must return for it.

    Attributes:
        pixels: Grey levels 0..255.
        probabilities: One per class.
    """

    pixels: list[int]
    probabilities: list[float]


@dataclass(frozen=True)
class Manifest:
    """The signature, weights digest, probes and provenance of a version.

    Attributes:
        name: The model's name.
        version: The version's number, 1 or more.
        nodes: The class of each node and the arguments of its constructor, from the images to the
            logits: `{"type": "LinearLayer", "input_size": 784, ...}`.
        input_shape: The shape of one image.
        labels: The name of each class, in the order of the probabilities.
        sha256: The hexadecimal digest of the weights file.
        probes: Checked at every load.
        provenance: All other members: metrics, data set, recipe, libraries, time of creation.
    """

    name: str
    version: int
    nodes: list[dict[str, Any]]
    input_shape: list[int]
    labels: list[str]
    sha256: str
    probes: list[Probe]
    provenance: Mapping[str, Any]

    def to_json(self) -> str:
        """Return the text of `model.json`; its last member is a digest of the others."""
        document = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "version": self.version,
            "nodes": self.nodes,
            "input": {"shape": self.input_shape, "dtype": "float32", "range": [0, 1]},
            "labels": self.labels,
            "sha256": self.sha256,
            "probes": [vars(probe) for probe in self.probes],
            **self.provenance,
        }
        document[_DIGEST] = _digest(document)
        members = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in document.items())
        return "{\n" + ",\n".join(members) + "\n}\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse the text of `model.json` and check the digest of its members, if there is one.

        Raises:
            ValueError: It is not JSON, has another format version, or a member is missing or wrong.
        """
        try:
            document = json.loads(text)
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        if not isinstance(document, dict):
            raise ValueError(f"expected a JSON object, got {document!r:.50}")
        if (found := document.get("format_version")) not in (1, FORMAT_VERSION):
            raise ValueError(f"expected format_version 1 or {FORMAT_VERSION}, got {found!r}")
        manifest = cls(
            name=_member(document, "name", str),
            version=_member(document, "version", int),
            nodes=(
                _nodes_of_widths(_list(document, "layers", int))
                if found == 1
                else _list(document, "nodes", dict)
            ),
            input_shape=_list(_member(document, "input", dict), "shape", int),
            labels=_list(document, "labels", str),
            sha256=_member(document, "sha256", str),
            probes=[
                Probe(_list(probe, "pixels", int), _list(probe, "probabilities", int, float))
                for probe in _list(document, "probes", dict)
            ],
            provenance={name: document[name] for name in document if name not in _SIGNATURE},
        )
        manifest._check_sizes()
        found = document.pop(_DIGEST, None)
        if found is not None and found != (digest := _digest(document)):
            raise ValueError(f"expected members of SHA-256 {found!r:.70}, got {digest}")
        return manifest

    def _check_sizes(self) -> None:
        if not self.nodes:
            raise ValueError("expected at least one node, got none")
        pixels, classes = math.prod(self.input_shape), len(self.labels)
        for probe in self.probes:
            got = len(probe.pixels), len(probe.probabilities)
            if got != (pixels, classes):
                raise ValueError(
                    f"expected probes of {pixels} pixels and {classes} probabilities, got {got}"
                )
            if not 0 <= min(probe.pixels) <= max(probe.pixels) <= MAX_PIXEL:
                raise ValueError(f"expected probes with pixels from 0 to {MAX_PIXEL}, got others")
            if not all(0 <= probability <= 1 for probability in probe.probabilities):
                raise ValueError("expected probes with probabilities from 0 to 1, got others")


_DIGEST = "members_sha256"
_TOO_DEEP = "expected JSON, got brackets that are nested too deeply"
_SIGNATURE = {
    *("format_version", "name", "version", "layers", "nodes", "input", "labels", "sha256"),
    "probes",
    _DIGEST,
}


def _nodes_of_widths(widths: Sequence[int]) -> list[dict[str, Any]]:
    """Return the nodes of a fully connected network with ReLU, as format 1 implies them."""
    nodes: list[dict[str, Any]] = []
    for before, after in pairwise(widths):
        if nodes:
            nodes.append({"type": "ReLU"})
        linear = {"type": "LinearLayer", "input_size": before, "output_size": after, "bias": True}
        nodes.append(linear)
    return nodes


def _digest(document: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(document)
    except RecursionError:  # writing recurses more deeply than reading
        raise ValueError(_TOO_DEEP) from None
    return hashlib.sha256(text.encode()).hexdigest()


def _member(document: Mapping[str, Any], name: str, *kinds: type) -> Any:
    value = document.get(name)
    if not isinstance(value, kinds) or isinstance(value, bool):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"expected {name} to be {expected}, got {value!r:.50}")
    return value


def _list(document: Mapping[str, Any], name: str, *kinds: type) -> list[Any]:
    return [_member({name: item}, name, *kinds) for item in _member(document, name, list)]
