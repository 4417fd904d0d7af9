"""Wrinkles for other programs: a tangent-space normal map, a displacement map, and the dense mesh they stand for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, UInt8, UInt16
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emoca_jax import render
from emoca_jax.detail import DetailModel, displaced_points, to_uv
from emoca_jax.export.obj_text import face_lines, vertex_lines
from emoca_jax.export.tangents import uv_tangents
from emoca_jax.faces import ReconstructedFace
from emoca_jax.flame.head import FaceHead
from emoca_jax.products import precise_einsum

LARGEST_DISPLACEMENT = 0.02
"""Metres that the ends of the 16-bit displacement map stand for; the decoder predicts up to 0.01, the fixed part adds
a few millimetres."""


def normal_map(result: ReconstructedFace) -> UInt8[np.ndarray, "rows columns 3"]:
    """The detail normals in the coarse surface's tangent space, red along u, green along v (upwards), blue outwards.

    The convention of glTF 2.0 (section 3.9.3) and OpenGL: 128, 128, 255 is no wrinkle.
    """
    detail, model = _detail(result)
    local = np.asarray(_tangent_space(result.head, model, result.vertices, detail.normals))
    return np.round(np.clip(local * 0.5 + 0.5, 0, 1) * 255).astype(np.uint8)


@jax.jit
def _tangent_space(
    head: FaceHead, model: DetailModel, vertices: Float[Array, "vertices 3"], normals: Float[Array, "rows columns 3"]
) -> Float[Array, "rows columns 3"]:
    outward = render.normalize(to_uv(model.uv_fragments, render.vertex_normals(vertices, head.faces), head.faces))
    along_u = render.interpolate(model.uv_fragments, uv_tangents(head, vertices), head.uv_faces)
    tangent = render.normalize(along_u - jnp.sum(along_u * outward, -1, keepdims=True) * outward)
    frame = jnp.stack([tangent, jnp.cross(outward, tangent), outward], axis=-2)
    local = precise_einsum("hwkl,hwl->hwk", frame, normals)
    # Beside an empty texel the grid's normals bend towards nothing.
    empty = (model.uv_fragments.face_index < 0)[..., None]
    beside = lax.reduce_window(empty, False, jnp.logical_or, (3, 3, 1), (1, 1, 1), "SAME")
    return jnp.where(beside, jnp.array([0.0, 0.0, 1.0]), render.normalize(local))


def displacement_map(result: ReconstructedFace) -> UInt16[np.ndarray, "rows columns"]:
    """Displacement along the normal: 0 stands for -LARGEST_DISPLACEMENT, 65535 for +LARGEST_DISPLACEMENT."""
    detail, _ = _detail(result)
    share = np.clip(detail.displacement / LARGEST_DISPLACEMENT * 0.5 + 0.5, 0, 1)
    return np.round(share * 65535).astype(np.uint16)


def detail_obj(result: ReconstructedFace, *, material_file: str) -> str:
    """OBJ text of the displaced surface: one vertex per texel of the uv layout, posed as in the photo, metres.

    Its uv are those of the coarse mesh, so texture and maps serve both.
    """
    detail, model = _detail(result)
    texel, faces = dense_faces(model, result.head)
    rows, columns = detail.displacement.shape
    points = np.asarray(_points(model, result.head, detail.displacement, result.vertices)).reshape(-1, 3)[texel]
    normals = np.asarray(render.vertex_normals(points, faces))
    uv = np.stack([(texel % columns + 0.5) / columns, 1 - (texel // columns + 0.5) / rows], -1)
    lines = [f"mtllib {material_file}", "o detail", "usemtl skin"]
    lines += [*vertex_lines(points, uv, normals), *face_lines(faces, faces)]
    return "\n".join(lines) + "\n"


@jax.jit
def _points(
    model: DetailModel, head: FaceHead, displacement: Array, vertices: Float[Array, "vertices 3"]
) -> Float[Array, "rows columns 3"]:
    normals = render.vertex_normals(vertices, head.faces)
    return displaced_points(model, displacement - model.fixed_displacement, vertices, normals, head.faces)


def dense_faces(model: DetailModel, head: FaceHead) -> tuple[Int[np.ndarray, "points"], Int[np.ndarray, "triangles 3"]]:
    """Flat index of the texels in use, and two triangles (into them) per cell of four of one uv chart."""
    face_index = np.asarray(model.uv_fragments.face_index)
    uv_faces = np.asarray(head.uv_faces)
    links = np.concatenate([uv_faces[:, [0, 1]], uv_faces[:, [1, 2]]])
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(len(head.uv),) * 2)
    chart = connected_components(graph, directed=False)[1][uv_faces[:, 0]]
    label = np.where(face_index >= 0, chart[face_index], -1)
    cell = [label[:-1, :-1], label[1:, :-1], label[:-1, 1:], label[1:, 1:]]
    whole = (cell[0] >= 0) & np.logical_and.reduce([cell[0] == other for other in cell[1:]])
    columns = label.shape[1]
    row, column = np.nonzero(whole)
    first = row * columns + column
    upper = np.stack([first, first + columns, first + 1], -1)
    lower = np.stack([first + 1, first + columns, first + columns + 1], -1)
    texel, corners = np.unique(np.concatenate([upper, lower]), return_inverse=True)
    return texel, corners.reshape(-1, 3)


def _detail(result: ReconstructedFace) -> tuple:
    detail, model = result.reconstruction.detail, result.detail_model
    if detail is None or model is None:
        raise ValueError("this face was reconstructed without a detail stage")
    return detail, model
