"""What is fuzzed: each target takes bytes and tells whether the code under test accepts them.

It fails where anything but the documented error escapes, and where what was accepted is not what a
second, simple reader makes of the same bytes.
"""

from collections.abc import Callable, Mapping

from tests.fuzz.targets import (
    arrays,
    data_sets,
    json_images,
    model_files,
    open_inference,
    parts,
    pictures,
    requests,
)

TARGETS: Mapping[str, Callable[[bytes], bool]] = {
    "csv": json_images.read_csv,
    "form": parts.read_multipart,
    "compressed": parts.read_compressed,
    "idx": data_sets.read_idx_file,
    "image": pictures.read_picture,
    "instances": json_images.read_instances,
    "manifest": model_files.read_manifest,
    "npy": arrays.read_npy_file,
    "npz": data_sets.read_npz_file,
    "octets": arrays.read_octets,
    "open-inference": open_inference.read_infer_request,
    "predict": json_images.read_predict_request,
    "request": requests.answer_request,
    "weights": model_files.read_weights,
}
