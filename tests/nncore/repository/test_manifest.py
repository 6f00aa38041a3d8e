from contextlib import suppress

from nncore.repository import Manifest
from nncore.repository.manifest import Probe

MANIFEST = Manifest(
    "tiny", 1, [{"type": "ReLU"}], [1], ["a", "b"], "0" * 64, [Probe([0], [0.5, 0.5])], {}
)


def test_brackets_nested_to_any_depth_are_read_or_rejected() -> None:
    members = MANIFEST.to_json().rstrip()[:-1]
    for depth in range(900, 1100):
        with suppress(ValueError):
            Manifest.from_json(f'{members}, "deep": {"[" * depth}{"]" * depth}}}')
