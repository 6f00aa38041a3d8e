"""Export of a published version to ONNX."""

import json
from typing import TYPE_CHECKING, Any

from nncore import FCModel, LinearLayer, ReLU
from nncore.repository import PublishedModel
from trainer.errors import TrainerError

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

INPUT_NAME = "pixels"
OUTPUT_NAME = "probabilities"
# Those of ONNX 1.12 (2022), which onnxruntime 1.12 and later read.
OPSET_VERSION = 17
IR_VERSION = 8


def to_onnx(published: PublishedModel) -> bytes:
    """Convert a published network to an ONNX model.

    Its input `pixels` is float32 `(batch, *input_shape)`, grey levels / 255 in [0, 1]; its output
    `probabilities` is float32 `(batch, classes)`. The weights are named as in `state_dict`. The
    metadata contain name, version, labels (a JSON array) and sha256 (of the weights file).

    Args:
        published: The version.

    Returns:
        The content of an `.onnx` file.

    Raises:
        TrainerError: The package onnx is not installed.
    """
    try:
        from onnx import checker, helper
    except ImportError as error:
        raise TrainerError(
            f"expected the package onnx for the export, got {error!r}: install the extra "
            "'onnx': pip install '.[onnx]' in the folder of the project"
        ) from error
    manifest = published.manifest
    model = helper.make_model(
        _graph(published),
        opset_imports=[helper.make_opsetid("", OPSET_VERSION)],
        ir_version=IR_VERSION,
        producer_name="nodestack",
        model_version=manifest.version,
        doc_string=(
            f"Version {manifest.version} of the classifier {manifest.name}. {INPUT_NAME}: grey "
            f"levels / 255, in [0, 1]. {OUTPUT_NAME}: one per class, in the order of the labels in "
            "the metadata."
        ),
    )
    metadata = {
        "name": manifest.name,
        "version": str(manifest.version),
        "labels": json.dumps(manifest.labels),
        "sha256": manifest.sha256,
    }
    helper.set_model_props(model, metadata)
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _graph(published: PublishedModel) -> "GraphProto":
    from onnx import TensorProto, helper

    manifest = published.manifest
    pixels = helper.make_tensor_value_info(
        INPUT_NAME, TensorProto.FLOAT, ["batch", *manifest.input_shape]
    )
    probabilities = helper.make_tensor_value_info(
        OUTPUT_NAME, TensorProto.FLOAT, ["batch", len(manifest.labels)]
    )
    return helper.make_graph(
        _nodes(published.model),
        manifest.name,
        [pixels],
        [probabilities],
        initializer=_weights(published.model),
    )


def _nodes(model: FCModel) -> "list[NodeProto]":
    """Return the operators; the input of each is the output of the previous one."""
    from onnx import helper

    operators: list[tuple[str, list[str], dict[str, Any]]] = [("Flatten", [], {"axis": 1})]
    for number, layer in enumerate(model.logit_layers):
        if isinstance(layer, LinearLayer):
            operators.append(("Gemm", [f"{number}.weight", f"{number}.bias"], {"transB": 1}))
        elif isinstance(layer, ReLU):
            operators.append(("Relu", [], {}))
        else:
            raise TrainerError(f"expected linear layers and ReLU, which ONNX has, got {layer!r}")
    operators.append(("Softmax", [], {"axis": 1}))

    values = [INPUT_NAME, *(f"value.{i}" for i in range(1, len(operators))), OUTPUT_NAME]
    return [
        helper.make_node(operator, [source, *parameters], [target], **attributes)
        for (operator, parameters, attributes), source, target in zip(
            operators, values[:-1], values[1:], strict=True
        )
    ]


def _weights(model: FCModel) -> "list[TensorProto]":
    """Return the parameters as float32, little-endian, in row-major order."""
    from onnx import TensorProto, helper

    return [
        helper.make_tensor(
            name, TensorProto.FLOAT, value.shape, value.astype("<f4").tobytes(), raw=True
        )
        for name, value in model.state_dict().items()
    ]
