"""Binary glTF 2.0: the head with skin, skeleton, texture and every expression unit as a named morph target.

Source: Khronos glTF 2.0 specification.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from emoca_jax.codes import Codes
from emoca_jax.export.glb import INDEX_BUFFER, VERTEX_BUFFER, GlbBuilder
from emoca_jax.export.rig.levels import Triangles, all_triangles
from emoca_jax.export.rig.naming import PLAIN, Naming
from emoca_jax.export.rig.shapes import Morphs, Part, morphs_of, parts_of, targets_of
from emoca_jax.export.rig.skeleton import Bone, local_transforms, rest_transforms, skeleton
from emoca_jax.export.tangents import gltf_tangents, uv_tangents
from emoca_jax.flame.head import FaceHead

MATERIALS = {"eyes": (0.15, False), "teeth": (0.3, True), "tongue": (0.4, True), "mouth_interior": (0.6, True)}
"""Roughness, and whether the back shows, by part; wet parts shine."""
SKIN_MATERIAL = (0.55, True)
"""Skin and whatever else a head has; the neck is open below, so its inside can be seen."""
DARK = ("mouth_interior",)
MIRRORED = dict.fromkeys(DARK, 0.0) | {"teeth": 0.3, "tongue": 0.3}
"""Part -> share that it mirrors of what skin does, for parts that light hardly reaches; by eye, in three.js.

Their texture is dark for that, but other programs do not know why, and the 4 % that a surface reflects turn a black
mouth into grey steel. Not by `specularColorTexture`: assimp 5 then finds no file for a texture and gives up.
"""
SPECULAR = "KHR_materials_specular"
UNTURNED = 1e-9
"""A rotation this near to none, as the sine of half its angle, is left out."""

LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071


def head_glb(
    head: FaceHead,
    codes: Codes,
    neutral_vertices: Float[np.ndarray, "vertices 3"],
    texture_png: bytes,
    *,
    normal_png: bytes | None = None,
    name: str,
    generator: str,
    naming: Naming = PLAIN,
    triangles: Triangles | None = None,
) -> bytes:
    """A .glb of one person: upright, facing +z, y up, metres; identity baked in, the photo's expression as default.

    One mesh per part, with the morph targets that move it: the units, and the visemes where the head can make them.
    Head and neck rest upright; jaw and eyes start as in the codes. Applying the default weights and rotations gives
    exactly `flame.forward` of the same codes with head and neck at rest. Pose correctives, which glTF does not know,
    become one more morph target for the photo's jaw and eyes, where the head has any.
    codes: NumPy leaves without batch; texture_png: the file's bytes, row 0 at v = 1; normal_png: the same of a
    tangent-space normal map for the skin, if there is one; triangles: a coarser level of detail.
    """
    glb = GlbBuilder()
    rotations = np.concatenate([np.zeros((2, 3)), np.asarray(codes.jaw)[None], np.asarray(codes.eyes)])
    shaped = neutral_vertices + np.asarray(head.expression_dirs) @ np.asarray(codes.expression)
    joints = np.asarray(head.joint_regressor) @ shaped
    bones = skeleton(head, neutral_vertices, joints, rotations, naming)
    bind = np.linalg.inv(rest_transforms(bones)).swapaxes(1, 2)  # column-major
    bind[:, :, 3] = [0, 0, 0, 1]  # exactly, which inverting does not promise
    triangles = all_triangles(head) if triangles is None else triangles
    morphs = morphs_of(head, codes, neutral_vertices, rotations, triangles)
    pictures = {"albedo": texture_png} | ({} if normal_png is None else {"normals": normal_png})
    parts = parts_of(head, triangles, naming)
    materials = list(dict.fromkeys(part.part for part in parts))
    surfaces = [_material(part, naming.materials.get(part, part), normal_png is not None) for part in materials]
    document = {
        "asset": {"version": "2.0", "generator": generator},
        **({"extensionsUsed": [SPECULAR]} if any("extensions" in surface for surface in surfaces) else {}),
        "scene": 0,
        # The skeleton's root, and every mesh: a skinned mesh under another node would be moved by it in some programs.
        "scenes": [{"name": name, "nodes": [0, *range(len(bones), len(bones) + len(parts))]}],
        "nodes": [
            *_bone_nodes(bones),
            *({"name": part.name, "mesh": mesh, "skin": 0} for mesh, part in enumerate(parts)),
        ],
        "meshes": [
            _mesh(
                glb,
                head,
                part,
                neutral_vertices,
                morphs,
                materials.index(part.part),
                None if normal_png is None else np.asarray(uv_tangents(head, neutral_vertices)),
            )
            for part in parts
        ],
        "skins": [
            {
                # Not the name of a mesh: Blender would number the one that comes second.
                "name": naming.skin or f"{name}_skeleton",
                "skeleton": 0,
                "joints": list(range(len(bones))),
                "inverseBindMatrices": glb.accessor(bind.reshape(-1, 16).astype(np.float32), "MAT4"),
            }
        ],
        "materials": surfaces,
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


def _material(part: str, name: str, wrinkled: bool) -> dict[str, Any]:
    roughness, double_sided = MATERIALS.get(part, SKIN_MATERIAL)
    material = {
        "name": name,
        "doubleSided": double_sided,
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": roughness},
    }
    if wrinkled and part not in MATERIALS:
        material["normalTexture"] = {"index": 1}
    if part in MIRRORED:
        material["extensions"] = {SPECULAR: {"specularFactor": MIRRORED[part]}}
    return material


def _mesh(
    glb: GlbBuilder,
    head: FaceHead,
    part: Part,
    neutral: Float[np.ndarray, "vertices 3"],
    morphs: Morphs,
    material: int,
    tangents: Float[np.ndarray, "uvs 3"] | None,
) -> dict[str, Any]:
    """One primitive, and the morph targets that move it; a mesh without any has neither weights nor names of them."""
    vertex, uv = part.vertex, part.uv
    flipped = np.asarray(head.uv)[uv] * [1, -1] + [0, 1]  # glTF: v runs down
    attributes = {
        "POSITION": glb.accessor(neutral[vertex].astype(np.float32), "VEC3", target=VERTEX_BUFFER, bounds=True),
        "NORMAL": glb.accessor(morphs.normals[vertex], "VEC3", target=VERTEX_BUFFER),
        "TEXCOORD_0": glb.accessor(flipped.astype(np.float32), "VEC2", target=VERTEX_BUFFER),
    }
    if tangents is not None:
        tangents = gltf_tangents(tangents[uv], morphs.normals[vertex])
        attributes["TANGENT"] = glb.accessor(tangents, "VEC4", target=VERTEX_BUFFER)
    for index, (joint_set, weight_set) in enumerate(_skin_sets(np.asarray(head.skin_weights)[vertex])):
        attributes[f"JOINTS_{index}"] = glb.accessor(joint_set, "VEC4", target=VERTEX_BUFFER)
        attributes[f"WEIGHTS_{index}"] = glb.accessor(weight_set, "VEC4", target=VERTEX_BUFFER)
    corners = part.faces.astype(np.uint16 if len(vertex) < 1 << 16 else np.uint32)
    primitive = {
        "attributes": attributes,
        "indices": glb.accessor(corners.reshape(-1), "SCALAR", target=INDEX_BUFFER),
        "material": material,
    }
    kept, shifted, turned = targets_of(morphs, part), morphs.shifted, morphs.turned
    if not kept:
        return {"name": part.name, "primitives": [primitive]}
    primitive["targets"] = [
        {
            "POSITION": glb.sparse(morphs.shifts[i, vertex], shifted[i, vertex], bounds=True),
            "NORMAL": glb.sparse(morphs.turns[i, vertex], turned[i, vertex], bounds=False),
        }
        for i in kept
    ]
    return {
        "name": part.name,
        "primitives": [primitive],
        "weights": [morphs.weights[i] for i in kept],
        "extras": {"targetNames": [morphs.names[i] for i in kept]},
    }


def _skin_sets(weights: Float[np.ndarray, "vertices joints"]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Joints and weights in sets of four, heaviest first, as many as the busiest vertex needs; unused are 0."""
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4)))
    order = np.argsort(-padded, axis=1, kind="stable")
    sorted_weights = np.take_along_axis(padded, order, 1)
    sorted_weights = (sorted_weights / sorted_weights.sum(1, keepdims=True)).astype(np.float32)
    order = np.where(sorted_weights > 0, order, 0).astype(np.uint8)
    used = range(0, max(1, np.count_nonzero(sorted_weights, axis=1).max()), 4)
    return [(order[:, i : i + 4], sorted_weights[:, i : i + 4]) for i in used]


def _bone_nodes(bones: list[Bone]) -> list[dict[str, Any]]:
    """The scene's first nodes, one per bone, each placed relative to its parent and turned as in the photo."""
    nodes: list[dict[str, Any]] = []
    shifts, rotations = local_transforms(bones, posed=True)
    for number, (bone, shift, rotation) in enumerate(zip(bones, shifts, rotations, strict=True)):
        node: dict[str, Any] = {"name": bone.name, "translation": shift.tolist()}
        if np.abs(rotation[:3]).max() > UNTURNED:
            node["rotation"] = rotation.tolist()
        children = [child for child, other in enumerate(bones) if other.parent == number]
        if children:
            node["children"] = children
        nodes.append(node)
    return nodes
