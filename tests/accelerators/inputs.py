"""What programs are compiled for: the open model as it ships, and the shapes of everything that does not ship."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.codes import Codes
from emoca_jax.convert.readers.flame import EXPRESSIONS, SHAPES
from emoca_jax.detail import DetailModel
from emoca_jax.flame.head import AlbedoModel, FaceHead, LandmarkEmbedding
from emoca_jax.jobs.choice import OPEN_MODEL
from emoca_jax.jobs.open_model import OpenModel, load_open_model
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.detail_decoder import INNER_EPSILON, LATENT, DetailDecoder
from emoca_jax.nets.encoders import DETAIL_OUTPUTS, Encoder
from emoca_jax.render import Fragments, mesh_edges

SIDE = 224
"""Pixels of the crop that is fitted, encoded and decoded."""
FLAME_VERTICES, FLAME_FACES, FLAME_UVS, FLAME_CORRECTIVES = 5023, 9976, 5118, 36
ALBEDO_SIDE, ALBEDO_COMPONENTS = 256, 50
"""Of DECA's texture space."""
UV_SIDE = 256
"""Of EMOCA's displacement map."""
POINTS = 478
"""Of MediaPipe's mesh with irises."""

Shape = jax.ShapeDtypeStruct


def array(*shape: int, dtype: Any = jnp.float32) -> Shape:
    """An array without numbers."""
    return Shape(shape, dtype)


def shapes_of(tree: Any) -> Any:
    """A pytree with its arrays' numbers forgotten."""
    return jax.tree.map(lambda leaf: Shape(np.shape(leaf), jnp.result_type(leaf)), tree)


def batch_of(tree: Any, count: int) -> Any:
    """So many of it along a new first axis."""
    return jax.tree.map(lambda leaf: Shape((count, *leaf.shape), leaf.dtype), tree)


@functools.cache
def open_model() -> OpenModel:
    """The model of `emoca reconstruct`."""
    return load_open_model(OPEN_MODEL)


@functools.cache
def open_codes() -> Codes:
    """Codes of one fitted face."""
    head = open_model().head
    assert head.albedo is not None
    return _codes(head.shape_dirs.shape[-1], head.expression_dirs.shape[-1], head.albedo.basis.shape[-1])


def flame_codes(*, detail: bool = True) -> Codes:
    """Codes of one encoded face."""
    codes = _codes(SHAPES, EXPRESSIONS, ALBEDO_COMPONENTS)
    return codes.replace(detail=array(DETAIL_OUTPUTS)) if detail else codes


def _codes(shapes: int, expressions: int, components: int) -> Codes:
    return Codes(
        shape=array(shapes),
        expression=array(expressions),
        pose=array(2, 3),
        jaw=array(3),
        eyes=array(2, 3),
        camera=array(3),
        light=array(9, 3),
        albedo=array(components),
    )


def flame_head() -> FaceHead:
    """A converted FLAME head with an albedo model."""

    def points(*shape: int) -> LandmarkEmbedding:
        return LandmarkEmbedding(array(*shape, dtype=jnp.int32), array(*shape, 3))

    def faces() -> Shape:
        return array(FLAME_FACES, 3, dtype=jnp.int32)

    return FaceHead(
        template=array(FLAME_VERTICES, 3),
        shape_dirs=array(FLAME_VERTICES, 3, SHAPES),
        expression_dirs=array(FLAME_VERTICES, 3, EXPRESSIONS),
        pose_dirs=array(FLAME_VERTICES, 3, FLAME_CORRECTIVES),
        joint_regressor=array(5, FLAME_VERTICES),
        skin_weights=array(FLAME_VERTICES, 5),
        faces=faces(),
        uv=array(FLAME_UVS, 2),
        uv_faces=faces(),
        face_part=array(FLAME_FACES, dtype=jnp.int32),
        landmarks_static=points(51),
        landmarks_contour=points(79, 17),
        landmarks_full=points(68),
        landmarks_mediapipe=points(105),
        mediapipe_index=array(105, dtype=jnp.int32),
        albedo=AlbedoModel(array(ALBEDO_SIDE, ALBEDO_SIDE, 3), array(ALBEDO_SIDE, ALBEDO_SIDE, 3, ALBEDO_COMPONENTS)),
        mesh_edges=jax.eval_shape(mesh_edges, faces()),
    )


def detail_model() -> DetailModel:
    """EMOCA's detail stage."""
    decoder = fold_batch_norms(ones(variables(DetailDecoder(), array(1, LATENT))), epsilon=INNER_EPSILON)
    fragments = Fragments(array(UV_SIDE, UV_SIDE, dtype=jnp.int32), array(UV_SIDE, UV_SIDE, 3), array(UV_SIDE, UV_SIDE))
    return DetailModel(shapes_of(decoder), fragments, array(UV_SIDE, UV_SIDE), array(UV_SIDE, UV_SIDE))


def encoder(outputs: int) -> dict:
    """One encoder's variables, batch norms folded as they are for inference."""
    return shapes_of(fold_batch_norms(ones(variables(Encoder(outputs), array(1, SIDE, SIDE, 3)))))


def variables(module: nn.Module, *inputs: Shape) -> Any:
    """Shapes of a network's variables."""
    return jax.eval_shape(module.init, jax.random.key(0), *inputs)


def ones(tree: Any) -> Any:
    """Numbers for shapes, to be folded away."""
    return jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), tree)
