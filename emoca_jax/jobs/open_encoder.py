"""Codes by encoders trained for the open head: one pass in place of a fit, from the folder that a run leaves."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float
from safetensors.numpy import save

from emoca_jax import flame
from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel
from emoca_jax.emotion.pictures import picture_networks
from emoca_jax.emotion.reading import compared_readings
from emoca_jax.errors import InputError
from emoca_jax.files.kept_programs import kept
from emoca_jax.files.regular import LARGEST_DESCRIPTION, read_regular
from emoca_jax.files.whole import write_file
from emoca_jax.fit.landmark_model import LandmarkModel, landmark_model
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs.assemble import assemble
from emoca_jax.jobs.encoded_face import EncodedFace, encoded_face
from emoca_jax.jobs.face_model import FaceModel
from emoca_jax.jobs.landmark_encoders import landmark_encoders
from emoca_jax.jobs.look import cut_plane, fit_crop, look, read, to_plane
from emoca_jax.jobs.open_detail import open_detail_model
from emoca_jax.jobs.result import FaceResult
from emoca_jax.jobs.trained_model import _over_photo
from emoca_jax.model import pose
from emoca_jax.model_folder import read_tensors
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.detail_decoder import INNER_EPSILON
from emoca_jax.nets.encoders import IMAGE_SIZE
from emoca_jax.nets.open_encoder import LEVEL, OPEN_SIZE
from emoca_jax.open_codes import open_outputs
from emoca_jax.products import CUBLAS
from emoca_jax.texture.layout import TEXTURE_SIZE, texture_layout
from emoca_jax.texture.surface import skin_surface
from emoca_jax.training.stages.detail_networks import DECODER, saved_detail_networks
from emoca_jax.training.stages.encoders import EXPRESSION, FLAME, TRUNK, OpenEncoders, OpenResNets

KIND, FORMAT_VERSION = "emoca_jax open encoder", 2
DESCRIPTION_NAME = "open_encoder.json"
VARIABLES_NAME = "open_encoder.safetensors"
REDUCTION = IMAGE_SIZE // OPEN_SIZE
"""Pixels of the crop that is fitted, over those that readers of the shipped trunk see; ResNet-50s see the former."""


@dataclass(frozen=True, kw_only=True)
class OpenEncoderModel(FaceModel):
    """Encoders for the open head."""

    variables: Mapping[str, Any]
    """Parameters and statistics as of `training.stages.encoders.OpenEncoders` or `OpenResNets`, and of
    `training.stages.detail_networks.DetailNetworks` where there are such."""


def save_open_encoder(folder: Path, name: str, variables: Mapping[str, Any]) -> None:
    """Write encoders as a folder that `load_model` takes.

    name: what they are called in results. variables: as a run of training/stages/coarse.py has them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = dict(flatten_dict(jax.device_get(dict(variables)), sep="/"))
    data = save({path: np.ascontiguousarray(array) for path, array in arrays.items()})
    head = flame.load_head()
    description = {
        "kind": KIND,
        "format": FORMAT_VERSION,
        "name": name,
        "outputs": open_outputs(head),
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": "Apache-2.0, as what it was trained from: the open head, open faces, face-api's network (MIT)",
    }
    write_file(folder / VARIABLES_NAME, data)
    # Last: with it the folder is a model.
    write_file(folder / DESCRIPTION_NAME, json.dumps(description, indent=1).encode())


def is_open_encoder(path: str | Path) -> bool:
    """Whether a folder is one that `save_open_encoder` wrote."""
    return os.path.isfile(os.path.join(path, DESCRIPTION_NAME))


def load_open_encoder(path: str | Path) -> OpenEncoderModel:
    """The model in a folder. Errors: InputError where it is damaged, or for another version of the head."""
    folder, head = Path(path), flame.load_head()
    place = folder / DESCRIPTION_NAME
    try:
        description = json.loads(read_regular(place, most=LARGEST_DESCRIPTION))
        known = description["kind"] == KIND and description["format"] == FORMAT_VERSION
        name, outputs, digest = str(description["name"]), int(description["outputs"]), description["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{place} is damaged ({error!r}): train again, or fetch the folder again.") from error
    if not known or outputs != open_outputs(head):
        raise InputError(f"{place} is of another version than this one reads: train it again.")
    if hashlib.sha256(read_regular(folder / VARIABLES_NAME)).hexdigest() != digest:
        raise InputError(f"{folder / VARIABLES_NAME} is damaged, its contents have changed: fetch the folder again.")
    tensors = read_tensors(folder / VARIABLES_NAME)
    variables = {"params": {}, "batch_stats": {}} | unflatten_dict(tensors, sep="/")
    landmarks = landmark_model(head)
    level = any(path.startswith(f"batch_stats/{EXPRESSION}/{LEVEL}") for path in tensors)
    encoders = saved_encoders(head, landmarks, variables["params"], level=level)
    _check(folder / VARIABLES_NAME, variables, encoders)
    layout = texture_layout(head, size=TEXTURE_SIZE)
    return OpenEncoderModel(
        name=name,
        head=head,
        detail=_detail(head, variables),
        landmarks=landmarks,
        layout=layout,
        surface=skin_surface(head, layout),
        variables=jax.device_put(variables),
    )


def saved_encoders(
    head: FaceHead, landmarks: LandmarkModel, parameters: Mapping[str, Any], *, level: bool = False
) -> OpenEncoders | OpenResNets:
    """What parameters are of, told by their layers: readers of the shipped trunk beside what ships, or ResNet-50s, each
    with a trunk of its own. level: as `landmark_encoders` takes it."""
    if TRUNK in parameters.get(FLAME, ()):
        return OpenResNets(head, dtype=jnp.float32)
    return landmark_encoders(head, landmarks, level=level)


def _detail(head: FaceHead, variables: Mapping[str, Any]) -> DetailModel | None:
    networks = saved_detail_networks(head, variables["params"])
    if networks is None:
        return None
    decoder = {name: variables[name][DECODER] for name in ("params", "batch_stats")}
    return jax.device_put(open_detail_model(head, fold_batch_norms(decoder, epsilon=INNER_EPSILON), size=networks.side))


def _check(place: Path, variables: Mapping[str, Any], encoders: OpenEncoders | OpenResNets) -> None:
    """Errors: InputError where the encoders do not take these variables, or some are no numbers."""
    found: dict[str, Any] = dict(flatten_dict(dict(variables), sep="/"))
    networks = saved_detail_networks(encoders.head, variables["params"])
    has_expression = any(path.startswith(f"params/{EXPRESSION}/") for path in found)

    def untrained() -> dict[str, Any]:
        begun = encoders.start(jax.random.key(0))
        begun = encoders.with_expression(*begun) if has_expression else begun
        begun = begun if networks is None else networks.start(*begun, jax.random.key(0))
        return dict(zip(("params", "batch_stats"), begun, strict=True))

    wanted: dict[str, Any] = dict(flatten_dict(jax.eval_shape(untrained), sep="/"))
    for path in sorted(wanted.keys() | found.keys()):
        here, there = (arrays[path].shape if path in arrays else None for arrays in (found, wanted))
        if here != there:
            raise InputError(
                f"{place}: {path} has shape {here}, expected {there}: train again, or fetch the folder again."
            )
        if not np.isfinite(found[path]).all():
            raise InputError(
                f"{place}: {path} holds values that are not finite: train again, or fetch the folder again."
            )


def encode_open(model: OpenEncoderModel, found: PhotoFace) -> FaceResult:
    """One face of a photo, encoded."""
    began = time.perf_counter()
    seen = look(model.expression, found, person=model.person)
    told = open_codes(model.head, model.landmarks, model.variables, seen.image[None], seen.landmarks[None])
    codes = jax.tree.map(lambda leaf: leaf[0], told)
    picture = _over_photo(model.head, codes, seen.image, False)
    drawn = read(model.expression, picture, seen.crop)
    looks = picture_networks(model.expression, model.detector["mesh"])
    readings = compared_readings(looks, model.head, codes, seen, picture, drawn)
    return assemble(model, found, seen, codes, readings, None, began=began)


def _open_codes(
    head: FaceHead,
    landmarks: LandmarkModel,
    variables: Mapping,
    images: Float[Array, "faces 224 224 3"],
    found: Float[Array, "faces 478 3"],
) -> Codes:
    """Codes of faces cut out as for a fit, RGB in [0, 1], and of the landmarks found in them, in the crop's plane."""
    state = variables["params"], variables["batch_stats"]
    encoders = saved_encoders(head, landmarks, variables["params"])
    if encoders.size == OPEN_SIZE:
        images = images.reshape(images.shape[0], OPEN_SIZE, REDUCTION, OPEN_SIZE, REDUCTION, 3).mean(axis=(2, 4))
    codes = encoders.encode(*state, images, trained=None, landmarks=found).codes
    networks = saved_detail_networks(head, variables["params"])
    return codes if networks is None else codes.replace(detail=networks.encode(*state, images, train=False)[0])


open_codes = kept(compiler_options=CUBLAS)(_open_codes)


def encode_quickly(model: OpenEncoderModel, found: PhotoFace) -> EncodedFace:
    """One face of a photo, encoded, posed and read, without a texture (`encode_open`), which costs most."""
    to_pixels = fit_crop(found.landmarks)
    image, points = cut_plane(found.photo, to_pixels, IMAGE_SIZE), to_plane(found.landmarks, to_pixels)
    codes, vertices = jax.device_get(_coded_and_posed(model.head, model.landmarks, model.variables, image, points))
    return encoded_face(model.head, found, to_pixels, codes, vertices)


@kept(compiler_options=CUBLAS)
def _coded_and_posed(
    head: FaceHead,
    landmarks: LandmarkModel,
    variables: Mapping,
    image: Float[Array, "224 224 3"],
    found: Float[Array, "478 3"],
) -> tuple[Codes, Float[Array, "vertices 3"]]:
    told = _open_codes(head, landmarks, variables, image[None], found[None])
    codes = jax.tree.map(lambda leaf: leaf[0], told)
    return codes, pose(head, codes).vertices
