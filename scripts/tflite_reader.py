"""Constants of a .tflite file by name, without TensorFlow: the schema that ships in `ai-edge-litert` is enough."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    schema.TensorType.FLOAT32: np.dtype("<f4"),
    schema.TensorType.FLOAT16: np.dtype("<f2"),
    schema.TensorType.INT32: np.dtype("<i4"),
}
OPERATIONS = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
TRANSPOSED = "Convolution2DTransposeBias"
"""MediaPipe's own operation: transposed convolution with bias."""
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "PRELU", TRANSPOSED)


@dataclass(frozen=True)
class Layer:
    """One operation with weights: its kind (of KINDS), name and constants in file order."""

    kind: str
    name: str
    constants: tuple[np.ndarray, ...]

    @property
    def number(self) -> int:
        """The number Keras gave the layer when it was created: `conv2d_12` is 12, `conv2d` is 0, other names -1."""
        match = re.fullmatch(r"(?:conv2d|depthwise_conv2d|p_re_lu)(?:_(\d+))?", self.name)
        return -1 if match is None else int(match.group(1) or 0)


def read_layers(path: Path) -> list[Layer]:
    """All layers of KINDS of a float (or half float) model, in execution order."""
    # Its annotations call every list optional, and byte strings str.
    model: Any = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    made_by = {int(operation.outputs[0]): operation for operation in graph.operators}

    def kind_of(operation) -> str:
        code = model.operatorCodes[operation.opcodeIndex]
        if code.customCode:
            return code.customCode.decode()
        return OPERATIONS[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def constant(index: int) -> np.ndarray | None:
        tensor = graph.tensors[index]
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            if tensor.sparsity is not None:
                raise ValueError(f"{path.name}: {tensor.name.decode()} is stored sparse; take the dense model")
            return np.frombuffer(bytes(data), TYPES[tensor.type]).reshape(tensor.shape)
        source = made_by.get(index)
        # Half-float weights pass through a DEQUANTIZE on their way to the operation.
        return constant(int(source.inputs[0])) if source is not None and kind_of(source) == "DEQUANTIZE" else None

    layers = []
    for operation in graph.operators:
        kind = kind_of(operation)
        if kind not in KINDS:
            continue
        constants = [constant(int(index)) for index in operation.inputs[1:]]
        # A converted name lists what was fused; the layer is the first path element that is one.
        name = graph.tensors[int(operation.outputs[0])].name.decode().split(";")[-1].split("/")[-1]
        layers.append(Layer(kind, name, tuple(value for value in constants if value is not None)))
    return layers
