"""Expression, valence, arousal and units of a face's picture, by the reader that ships.

It looks through networks that learned from photos and stay as they are (nets/emotion/frozen.py), and has itself learned
from drawn faces alone (scripts/train_picture_reader.py). It knows no side: an answer is the mean of the face's and of
its mirror image's.
"""

from __future__ import annotations

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from emoca_jax.arrays import AnyArray
from emoca_jax.emotion.landmark_units import landmark_units, load_unit_reader
from emoca_jax.emotion.units import MIRRORED
from emoca_jax.files.kept_programs import kept
from emoca_jax.mediapipe_points import EXPRESSION_POINTS
from emoca_jax.nets.emotion.affect import AffectRead
from emoca_jax.nets.emotion.crop import ExpressionCrop, crop_image
from emoca_jax.nets.emotion.frozen import PICTURE_SIZE, Maps, expression_maps, mesh_crops, picture_crop
from emoca_jax.nets.emotion.picture_reader import PictureReader
from emoca_jax.nets.mediapipe.batches import run_batched, view_batch
from emoca_jax.nets.mediapipe.mesh_look import MESH_MAPS, look_at_faces
from emoca_jax.nets.weights import Parameters, load_shipped_weights
from emoca_jax.products import CUBLAS

ASSET = "picture_reader"


@cache
def load_picture_reader() -> Parameters:
    """The weights that ship."""
    return load_shipped_weights(ASSET)


class PictureNetworks(NamedTuple):
    """Parameters of all that looks at a picture."""

    expression: Parameters
    mesh: Parameters
    units: Parameters
    reader: Parameters


def picture_networks(expression: Parameters, mesh: Parameters) -> PictureNetworks:
    """With the readers that ship. expression, mesh: as they ship (`load_expression_networks`, `load_networks`)."""
    return PictureNetworks(expression, mesh, load_unit_reader(), load_picture_reader())


def read_picture(
    networks: PictureNetworks, image: Float[AnyArray, "height width 3"], crop: ExpressionCrop
) -> AffectRead:
    """What the reader sees in a face of a picture, RGB in [0, 1]; units in the order of `ARKIT_UNITS`.

    crop: what the expression networks look at (`crop.expression_crop`); where what is seen around it leaves the
    picture, its edge continues.
    """
    pictures, crops = _both_sides(jnp.asarray(image), crop)
    # By the very program that has placed the landmarks: the network is neither traced nor compiled again.
    points, *maps = run_batched(partial(_look, networks.mesh), np.asarray(crops), view_batch())
    mesh = dict(zip(sorted(MESH_MAPS), maps, strict=True))
    return _read(networks.expression, networks.units, networks.reader, pictures, points, mesh)


def _look(mesh: Parameters, crops: UInt8[np.ndarray, "batch 192 192 3"]) -> tuple[Array, ...]:
    """Points, then the maps in the order of the alphabet."""
    look = look_at_faces(mesh, crops)
    return look.points, *(look.maps[name] for name in sorted(MESH_MAPS))


@kept(compiler_options=CUBLAS)
def _both_sides(
    image: Float[Array, "height width 3"], crop: ExpressionCrop
) -> tuple[Float[Array, "2 144 144 3"], UInt8[Array, "2 192 192 3"]]:
    """The face and its mirror image, as the expression networks and as the mesh network take them."""
    picture = crop_image(image, picture_crop(crop), size=PICTURE_SIZE)
    pictures = jnp.stack([picture, picture[:, ::-1]])
    return pictures, jnp.round(255 * jnp.clip(mesh_crops(pictures), 0, 1)).astype(jnp.uint8)


@kept(compiler_options=CUBLAS)
def _read(
    expression: Parameters,
    units: Parameters,
    reader: Parameters,
    pictures: Float[Array, "2 144 144 3"],
    points: Float[Array, "2 478 3"],
    mesh: Maps,
) -> AffectRead:
    maps = {**expression_maps(expression, pictures), **mesh}
    told = landmark_units(units, points), points[:, jnp.array(EXPRESSION_POINTS)]
    read = PictureReader().apply(reader, maps, *told)
    assert isinstance(read, AffectRead) and read.unit_logits is not None
    sides = read.replace(unit_logits=read.unit_logits.at[1].set(read.unit_logits[1][jnp.asarray(MIRRORED)]))
    return jax.tree.map(lambda leaf: leaf.mean(axis=0), sides)
