"""What an official file is, told by its content and never by its name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from emoca_jax.errors import InputError
from emoca_jax.files.failed_downloads import UNPACK, failed_download, packed
from emoca_jax.files.picture_formats import MASK_FORMATS
from emoca_jax.files.regular import open_regular, read_regular
from emoca_jax.safe_files.array_files import read_npy, read_npz, read_pickle
from emoca_jax.safe_files.mapped_files import map_file
from emoca_jax.safe_files.torch_files import read_torch
from emoca_jax.safe_files.zip_files import read_directory


class Kind(StrEnum):
    """All kinds of files that can be converted; the value is what a user reads."""

    FLAME = "FLAME model"
    LANDMARKS = "landmark embedding"
    MEDIAPIPE = "MediaPipe landmark embedding"
    TEMPLATE = "head template with uv layout"
    BFM_ALBEDO = "albedo from BFM"
    FLAME_TEXTURE = "FLAME texture"
    FACE_MASK = "uv face mask"
    FACE_EYE_MASK = "uv face and eye mask"
    DISPLACEMENT = "fixed displacement"
    DENSE_TEMPLATE = "dense template"
    DECA = "DECA weights"
    EMOCA = "EMOCA checkpoint"
    EMOTION_RESNET = "emotion network ResNet-50"
    EMOTION_SWIN = "emotion network Swin-B"
    EMONET = "EmoNet"
    EMOTION_MLP = "EMO-MLP"
    VGGFACE2 = "VGGFace2 ResNet-50"
    VGG19 = "VGG-19"
    TRAINED_RESNET = "emotion network ResNet-50 trained by scripts/train.py"
    TRAINED_SWIN = "emotion network Swin-B trained by scripts/train.py"
    TRAINED_EMONET = "EmoNet trained by scripts/train.py"
    TRAINED_SMALL = "small recogniser trained by scripts/train.py"
    TRAINED_ON_OPEN = "recogniser on the open network's layers trained by scripts/train.py"
    TRAINED_MLP = "EMO-MLP trained by scripts/train.py"


class Found(NamedTuple):
    """A file and what is in it."""

    path: Path
    kind: Kind | None
    """None where the file is none of the above."""
    content: Any
    """Of a network file the state dictionary (variables by path if trained here), of a mask its grey values; of an
    unknown file the reason, a phrase."""
    beside: tuple[str, ...] = ()
    """Names that a Lightning checkpoint holds beside its state dictionary."""


TRAINED_MARKS = {
    Kind.TRAINED_RESNET: {"params/trunk/conv1/conv/kernel", "params/head/kernel"},
    Kind.TRAINED_SWIN: {"params/patch_embed/kernel", "params/head/kernel"},
    Kind.TRAINED_EMONET: {"params/emotion_input/kernel", "params/emotion_output/kernel"},
    Kind.TRAINED_SMALL: {"params/stem/conv/kernel", "params/units/kernel"},
    Kind.TRAINED_ON_OPEN: {"params/dense/block0_conv0/kernel", "params/head/units/kernel"},
    Kind.TRAINED_MLP: {"params/hidden3/kernel", "params/output/kernel"},
}
"""Arrays of `network.npz`, by path, that no other of these networks has."""
FLAME_VERTICES, FLAME_FACES, FLAME_UVS = 5023, 9976, 5118
"""FLAME's mesh and its uv layout (FLAME, SIGGRAPH Asia 2017; the same in all releases)."""
EMOCA_PREFIXES = ("deca.E_flame.", "deca.E_expression.", "deca.E_detail.")
VGGFACE2_IDENTITIES = 8631
"""Rows of VGGFace2's classifier, which tell its ResNet-50 from others."""
LARGEST_DISPLACEMENT = 0.05
"""Metres; a fixed displacement moves the surface by a few millimetres."""
MASK_SIDES = (256, 512, 1024, 2048)
LARGEST_TEXT = 64 << 20
OLD_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""First pickle of PyTorch's old format: the magic number 0x1950a86a20f9469cfc6c."""
TAR_MAGIC = slice(257, 262)
TORCH_TAR = (b"sys_info", b"pickle", b"storages", b"tensors")
"""What a tar of PyTorch's first versions holds."""


def recognise(path: Path) -> Found:  # noqa: PLR0911 (one return for each kind of container)
    """Read a file as far as it takes to say what it is; networks stay on disk until their arrays are used.

    Errors: InputError where the file is damaged, or a pickle that holds more than data.
    """
    with open_regular(path) as file:
        start = file.read(1024)
    if told := failed_download(start):
        raise InputError(f"{path} is {told}.")
    if start.startswith(b"PK"):
        return _in_zip(path)
    if told := packed(start):
        return Found(path, None, told)
    if start[TAR_MAGIC] == b"ustar" and start[:100].rstrip(b"\0") not in TORCH_TAR:
        return Found(path, None, f"a tar archive: {UNPACK}")
    if OLD_TORCH in start[:16] or start[TAR_MAGIC] == b"ustar":
        return _checkpoint(path, read_torch(path))
    if start.startswith(b"\x93NUMPY"):
        return _array(path, read_npy(path))
    if start.startswith(b"\x89PNG"):
        return _picture(path)
    if _looks_pickled(path, start):
        return _pickled(path, read_pickle(path))
    if _looks_like_obj(start) and path.stat().st_size <= LARGEST_TEXT:
        return _obj(path)
    return Found(path, None, "no official file" if start else "empty")


def kind_of_state(state: Mapping[str, Any]) -> Kind | None:
    """Which network a state dictionary belongs to, by its keys; None for one that is unknown."""
    keys = {str(key).removeprefix("module.") for key in state}
    marks = {
        Kind.EMOTION_MLP: {"mlp.model.0.weight"},
        Kind.EMONET: {"emo_fc_2.3.weight", "conv1x1_input_emo_2.weight"},
        Kind.EMOTION_SWIN: {"swin.patch_embed.proj.weight"},
        Kind.EMOTION_RESNET: {"backbone.conv1.weight", "linear.weight"},
        # Layer 34 is VGG-19's last convolution; VGG-16 ends before.
        Kind.VGG19: {"features.0.weight", "features.34.weight"},
        Kind.VGGFACE2: {"conv1.weight", "layer4.2.conv3.weight", "fc.weight"},
    }
    kind = next((kind for kind, needed in marks.items() if needed <= keys), None)
    if kind is None and any(key.startswith(EMOCA_PREFIXES) for key in keys):
        return Kind.EMOCA
    if kind == Kind.VGGFACE2 and np.shape(state.get("fc.weight", state.get("module.fc.weight")))[0] != (
        VGGFACE2_IDENTITIES
    ):
        return None
    return kind


def _in_zip(path: Path) -> Found:
    names = read_directory(map_file(path))
    if any(name.endswith("data.pkl") for name in names):
        return _checkpoint(path, read_torch(path))
    if any(name.endswith(".npy") for name in names):
        return _arrays(path, read_npz(path))
    return Found(path, None, f"a zip archive: {UNPACK}")


def _checkpoint(path: Path, content: Any) -> Found:
    if not isinstance(content, Mapping):
        return Found(path, None, "a PyTorch file without a state dictionary")
    if isinstance(content.get("E_flame"), Mapping):
        return Found(path, Kind.DECA, content)
    state = content.get("state_dict", content)
    beside = tuple(str(key) for key in content if key != "state_dict") if state is not content else ()
    kind = kind_of_state(state) if isinstance(state, Mapping) else None
    return Found(path, kind, state if kind else "a PyTorch file of an unknown network", beside)


def _pickled(path: Path, content: Any) -> Found:
    if not isinstance(content, Mapping):
        return Found(path, None, "a pickle of no known kind")
    if {"v_template", "shapedirs", "f", "weights"} <= set(content):
        if np.shape(content["v_template"]) != (FLAME_VERTICES, 3):
            return Found(path, None, f"a body model that is not FLAME: {np.shape(content['v_template'])} vertices")
        return Found(path, Kind.FLAME, content)
    kind = kind_of_state(content)
    return Found(path, kind, content if kind else "a pickle of no known kind")


def _array(path: Path, content: Any) -> Found:
    if isinstance(content, np.ndarray) and content.dtype == object and content.ndim == 0:
        content = content.item()
    if isinstance(content, Mapping):
        if {"static_lmk_faces_idx", "dynamic_lmk_faces_idx", "full_lmk_faces_idx"} <= set(content):
            return Found(path, Kind.LANDMARKS, content)
        if {"valid_pixel_ids", "valid_pixel_3d_faces", "valid_pixel_b_coords"} <= set(content):
            return Found(path, Kind.DENSE_TEMPLATE, content)
    elif isinstance(content, np.ndarray) and _is_displacement(content):
        return Found(path, Kind.DISPLACEMENT, content)
    return Found(path, None, "a NumPy file of no known kind")


def _is_displacement(array: np.ndarray) -> bool:
    square = array.ndim == 2 and array.shape[0] == array.shape[1] and array.shape[0] in MASK_SIDES
    return square and array.dtype.kind == "f" and bool(np.abs(array).max() <= LARGEST_DISPLACEMENT)


def _arrays(path: Path, content: Mapping[str, Any]) -> Found:
    names = set(content)
    for kind, needed in (
        (Kind.MEDIAPIPE, {"lmk_face_idx", "lmk_b_coords"}),
        (Kind.BFM_ALBEDO, {"MU", "PC"}),
        (Kind.FLAME_TEXTURE, {"mean", "tex_dir"}),
    ):
        if needed <= names:
            return Found(path, kind, content)
    if trained := next((kind for kind, marks in TRAINED_MARKS.items() if marks <= names), None):
        return Found(path, trained, content)
    return Found(path, None, "a NumPy archive of no known kind")


def _picture(path: Path) -> Found:
    """Masks are square, grey and nearly black and white; eyeballs lie in the upper corners of FLAME's uv layout."""
    unknown = Found(path, None, "a picture that is no mask of FLAME's uv layout")
    try:
        with open_regular(path) as file, Image.open(file, formats=MASK_FORMATS) as picture:
            if picture.width != picture.height or picture.width not in MASK_SIDES:
                return unknown
            grey = np.asarray(picture.convert("RGB")).astype(np.int32)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is a damaged picture ({error}): get it again from its source.") from error
    values = grey[..., 0]
    if np.ptp(grey, axis=-1).max() or np.mean((values > 25) & (values < 230)) > 0.1:
        return unknown
    side = len(values)
    eyeball, face = side // 8, slice(side * 3 // 8, side * 5 // 8)
    corners = np.concatenate([values[:eyeball, :eyeball], values[:eyeball, -eyeball:]]) / 255
    if values[face, face].mean() < 230 or values[-eyeball:].mean() > 25:
        return unknown
    if corners.mean() > 0.9:
        return Found(path, Kind.FACE_EYE_MASK, values)
    return Found(path, Kind.FACE_MASK, values) if corners.mean() < 0.1 else unknown


def _looks_pickled(path: Path, start: bytes) -> bool:
    if start[:1] == b"\x80":
        return True
    # Protocol 0, as Python 2 wrote it: a mark, dictionary or global first, a full stop last.
    if start[:3] not in (b"(dp", b"(lp", b"(ip", b"}q\x01") and start[:1] != b"c":
        return False
    with open_regular(path) as file:
        file.seek(-1, 2)
        return file.read() == b"."


def _looks_like_obj(start: bytes) -> bool:
    lines = start.split(b"\n")
    return b"\0" not in start and any(line.startswith((b"v ", b"vt ")) for line in lines)


def _obj(path: Path) -> Found:
    content = read_regular(path)
    counts = tuple(content.count(b"\n" + word) for word in (b"v ", b"vt ", b"f "))
    if counts == (FLAME_VERTICES, FLAME_UVS, FLAME_FACES):
        return Found(path, Kind.TEMPLATE, content)
    return Found(path, None, "a mesh without FLAME's uv layout")
