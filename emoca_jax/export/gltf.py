"""Binary glTF 2.0: the head with skin, skeleton, texture and every expression unit as a named morph target.

Source: Khronos glTF 2.0 specification.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.export.glb import INDEX_BUFFER, VERTEX_BUFFER, GlbBuilder
from emoca_jax.export.names import unit_names
from emoca_jax.export.tangents import gltf_tangents, uv_tangents
from emoca_jax.flame.head import FaceHead

JOINT_NAMES = ("neck", "head", "jaw", "left_eye", "right_eye")
"""What animators call the head's joints: FLAME's "global" turns everything from the neck up, its "neck" the head."""
MATERIALS = {"eyes": (0.15, False), "teeth": (0.3, True), "tongue": (0.4, True), "mouth_interior": (0.6, True)}
"""Roughness, and whether the back shows, by part; wet parts shine."""
SKIN_MATERIAL = (0.55, True)
"""Skin and whatever else a head has; the neck is open below, so its inside can be seen."""
SMALLEST_SHIFT = 1e-6
"""Metres: a vertex that a unit moves less than a micron is left out of its morph target."""
SMALLEST_TURN = 2e-3
"""The same for unit normals: about a tenth of a degree."""

LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071

_normals = jax.jit(render.vertex_normals)


def head_glb(
    head: FaceHead,
    codes: Codes,
    neutral_vertices: Float[np.ndarray, "vertices 3"],
    texture_png: bytes,
    *,
    normal_png: bytes | None = None,
    name: str,
    generator: str,
) -> bytes:
    """A .glb of one person: upright, facing +z, y up, metres; identity baked in, the photo's expression as default.

    One mesh per part, named after it, with the morph targets that move it. Head and neck rest upright; jaw and eyes
    start as in the codes. Applying the default weights and rotations gives exactly `flame.forward` of the same codes
    with head and neck at rest. Pose correctives, which glTF does not know, become one more morph target for the
    photo's jaw and eyes, where the head has any.
    codes: NumPy leaves without batch; texture_png: the file's bytes, row 0 at v = 1; normal_png: the same of a
    tangent-space normal map for the skin, if there is one.
    """
    glb = GlbBuilder()
    weights = [float(weight) for weight in codes.expression]
    targets = np.moveaxis(np.asarray(head.expression_dirs, np.float32), -1, 0)
    target_names = unit_names(head)
    rotations = np.concatenate([np.zeros((2, 3)), np.asarray(codes.jaw)[None], np.asarray(codes.eyes)])
    corrective = _pose_corrective(head, rotations)
    if corrective is not None:
        targets, weights = np.concatenate([targets, corrective[None]]), [*weights, 1.0]
        target_names.append("photo_pose_corrective")

    shaped = neutral_vertices + np.asarray(head.expression_dirs) @ np.asarray(codes.expression)
    joints = np.asarray(head.joint_regressor) @ shaped
    bind = np.tile(np.eye(4, dtype=np.float32), (len(joints), 1, 1))
    bind[:, 3, :3] = -joints  # column-major: the last row holds the translation
    pictures = {"albedo": texture_png} | ({} if normal_png is None else {"normals": normal_png})
    parts = [head.part_names[part] for part in _used_parts(head)]
    shapes = _part_shapes(glb, head, neutral_vertices, targets, normal_png is not None)
    document = {
        "asset": {"version": "2.0", "generator": generator},
        "scene": 0,
        # The skeleton's root, and every mesh: a skinned mesh under another node would be moved by it in some programs.
        "scenes": [{"name": name, "nodes": [0, *range(len(joints), len(joints) + len(parts))]}],
        "nodes": [
            *_joint_nodes(head.parents, joints, rotations),
            *({"name": part, "mesh": mesh, "skin": 0} for mesh, part in enumerate(parts)),
        ],
        "meshes": [
            {"name": part, "primitives": [primitive], **_moving(kept, weights, target_names)}
            for part, (primitive, kept) in zip(parts, shapes, strict=True)
        ],
        "skins": [
            {
                # Not the name of a mesh: Blender would number the one that comes second.
                "name": f"{name}_skeleton",
                "skeleton": 0,
                "joints": list(range(len(joints))),
                "inverseBindMatrices": glb.accessor(bind.reshape(-1, 16), "MAT4"),
            }
        ],
        "materials": [_material(part, normal_png is not None) for part in parts],
        "textures": [{"name": picture, "sampler": 0, "source": i} for i, picture in enumerate(pictures)],
        "samplers": [
            {
                "magFilter": LINEAR,
                "minFilter": LINEAR_MIPMAP_LINEAR,
                "wrapS": CLAMP_TO_EDGE,
                "wrapT": CLAMP_TO_EDGE,
            }
        ],
        "images": [
            {"name": picture, "mimeType": "image/png", "bufferView": glb.view(data)}
            for picture, data in pictures.items()
        ],
    }
    return glb.to_bytes(document)


def _material(part: str, wrinkled: bool) -> dict[str, Any]:
    roughness, double_sided = MATERIALS.get(part, SKIN_MATERIAL)
    material = {
        "name": part,
        "doubleSided": double_sided,
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": roughness},
    }
    return material | ({"normalTexture": {"index": 1}} if wrinkled and part not in MATERIALS else {})


def _used_parts(head: FaceHead) -> list[int]:
    return np.unique(head.face_part).tolist()


def _moving(kept: list[int], weights: list[float], names: list[str]) -> dict[str, Any]:
    """Default weights and names of the morph targets that move a mesh; a mesh without any has neither."""
    if not kept:
        return {}
    return {"weights": [weights[i] for i in kept], "extras": {"targetNames": [names[i] for i in kept]}}


def _part_shapes(
    glb: GlbBuilder,
    head: FaceHead,
    neutral: Float[np.ndarray, "vertices 3"],
    targets: Float[np.ndarray, "targets vertices 3"],
    wrinkled: bool,
) -> list[tuple[dict[str, Any], list[int]]]:
    """One primitive per part with the numbers of its targets. A corner of glTF has one uv, so seams are split."""
    faces, uv_faces = np.asarray(head.faces), np.asarray(head.uv_faces)
    joint_sets, weight_sets = _skin_sets(np.asarray(head.skin_weights))
    normals = np.asarray(_normals(np.concatenate([neutral[None], neutral + targets]).astype(np.float32), faces))
    # A vertex without area around it has no direction; glTF wants a unit vector all the same.
    normals = np.where(np.linalg.norm(normals, axis=-1, keepdims=True) > 0.5, normals, np.array([0, 0, 1], np.float32))
    turns = normals[1:] - normals[:1]
    shifted = np.abs(targets).max(axis=-1) > SMALLEST_SHIFT
    turned = np.abs(turns).max(axis=-1) > SMALLEST_TURN

    shapes = []
    for material, part in enumerate(_used_parts(head)):
        of_part = np.asarray(head.face_part) == part
        vertex, uv, corners = _split_seams(faces[of_part], uv_faces[of_part])
        flipped = np.asarray(head.uv)[uv] * [1, -1] + [0, 1]  # glTF: v runs down
        attributes = {
            "POSITION": glb.accessor(neutral[vertex].astype(np.float32), "VEC3", target=VERTEX_BUFFER, bounds=True),
            "NORMAL": glb.accessor(normals[0, vertex], "VEC3", target=VERTEX_BUFFER),
            "TEXCOORD_0": glb.accessor(flipped.astype(np.float32), "VEC2", target=VERTEX_BUFFER),
        }
        if wrinkled:
            tangents = gltf_tangents(np.asarray(uv_tangents(head, neutral))[uv], normals[0, vertex])
            attributes["TANGENT"] = glb.accessor(tangents, "VEC4", target=VERTEX_BUFFER)
        for index, (joint_set, weight_set) in enumerate(zip(joint_sets, weight_sets, strict=True)):
            attributes[f"JOINTS_{index}"] = glb.accessor(joint_set[vertex], "VEC4", target=VERTEX_BUFFER)
            attributes[f"WEIGHTS_{index}"] = glb.accessor(weight_set[vertex], "VEC4", target=VERTEX_BUFFER)
        corners = corners.astype(np.uint16 if len(vertex) < 1 << 16 else np.uint32)
        kept = np.flatnonzero(shifted[:, vertex].any(axis=1)).tolist()
        primitive = {
            "attributes": attributes,
            "indices": glb.accessor(corners.reshape(-1), "SCALAR", target=INDEX_BUFFER),
            "material": material,
        }
        if kept:
            primitive["targets"] = [
                {
                    "POSITION": glb.sparse(targets[i, vertex], shifted[i, vertex], bounds=True),
                    "NORMAL": glb.sparse(turns[i, vertex], turned[i, vertex], bounds=False),
                }
                for i in kept
            ]
        shapes.append((primitive, kept))
    return shapes


def _split_seams(
    faces: Int[np.ndarray, "faces 3"], uv_faces: Int[np.ndarray, "faces 3"]
) -> tuple[Int[np.ndarray, "corners"], Int[np.ndarray, "corners"], Int[np.ndarray, "faces 3"]]:
    """Every (vertex, uv) pair in use once, and the faces that index those pairs."""
    pairs, corners = np.unique(np.stack([faces, uv_faces], -1).reshape(-1, 2), axis=0, return_inverse=True)
    return pairs[:, 0], pairs[:, 1], corners.reshape(-1, 3)


def _skin_sets(weights: Float[np.ndarray, "vertices joints"]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Joints and weights in sets of four, heaviest first, as many as the busiest vertex needs; unused are 0."""
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4)))
    order = np.argsort(-padded, axis=1, kind="stable")
    sorted_weights = np.take_along_axis(padded, order, 1)
    sorted_weights = (sorted_weights / sorted_weights.sum(1, keepdims=True)).astype(np.float32)
    order = np.where(sorted_weights > 0, order, 0).astype(np.uint8)
    used = range(0, max(1, np.count_nonzero(sorted_weights, axis=1).max()), 4)
    return [order[:, i : i + 4] for i in used], [sorted_weights[:, i : i + 4] for i in used]


def _pose_corrective(head: FaceHead, rotations: Float[np.ndarray, "joints 3"]) -> np.ndarray | None:
    if not head.pose_dirs.shape[-1] or not np.any(rotations):
        return None
    bend = np.asarray(flame.rotation_matrix(jnp.asarray(rotations[1:], jnp.float32))) - np.eye(3)
    return (np.asarray(head.pose_dirs) @ bend.reshape(-1)).astype(np.float32)


def _quaternion(axis_angle: np.ndarray) -> list[float]:
    """Unit quaternion x, y, z, w of an axis-angle vector."""
    half = 0.5 * np.linalg.norm(axis_angle)
    # np.sinc(t / pi) = sin(t) / t, and 1 at zero.
    return [*(0.5 * np.sinc(half / np.pi) * np.asarray(axis_angle, float)).tolist(), float(np.cos(half))]


def _joint_nodes(parents: tuple[int, ...], joints: np.ndarray, rotations: np.ndarray) -> list[dict[str, Any]]:
    """The scene's first nodes, in the head's joint order, each placed relative to its parent."""
    nodes: list[dict[str, Any]] = []
    for joint, parent in enumerate(parents):
        offset = joints[joint] - (joints[parent] if parent >= 0 else 0)
        node: dict[str, Any] = {"name": JOINT_NAMES[joint], "translation": offset.tolist()}
        if np.any(rotations[joint]):
            node["rotation"] = _quaternion(rotations[joint])
        children = [child for child, above in enumerate(parents) if above == joint]
        if children:
            node["children"] = children
        nodes.append(node)
    return nodes
