"""Binary glTF 2.0 as a viewer shows it at first sight: scene transforms, default morph weights and skins applied.

Read directly: the libraries that read it stop at the resting mesh (trimesh) or at the JSON (pygltflib), so a head would
lose its expression. Source: Khronos glTF 2.0 specification, sections 3.5 to 3.9 and 4.4.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from emoca_jax.errors import InputError
from emoca_jax.mesh_view.mesh_part import MeshPart, read_picture

COMPONENT = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
TRIANGLES, STRIP, FAN = 4, 5, 6
HEADER = 12
"""Bytes before the first chunk."""
TEXTURE_TRANSFORM = "KHR_texture_transform"
TEXTURE_FORMATS = ("EXT_texture_webp", "EXT_texture_avif")
UNDERSTOOD = {
    "KHR_mesh_quantization",
    "KHR_materials_unlit",
    "KHR_materials_ior",
    "KHR_materials_specular",
    "KHR_materials_clearcoat",
    "KHR_materials_sheen",
    "KHR_materials_transmission",
    "KHR_materials_volume",
    "KHR_lights_punctual",
    TEXTURE_TRANSFORM,
    *TEXTURE_FORMATS,
}
"""Required extensions that are read, that pictures do without, or that change nothing for a reader of accessors."""
LARGEST_JSON = 32 << 20
MOST_NODES, MOST_PARTS = 20_000, 4096
ROW = 16
"""Bytes that a row of an accessor counts at least: what is made of it takes many times that."""
ALWAYS, GROWTH = 32 << 20, 8
"""Bytes that all accessors of a file may ask for, together with `GROWTH` times the file's size."""
PICTURES = 512 << 20
"""Bytes of all textures, unpacked."""
LONGEST_STRIDE = 252
DAMAGE = (
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    struct.error,
    RecursionError,
    OverflowError,
    MemoryError,
)
"""What Python raises where the pieces of a file contradict each other."""


def read_glb(data: bytes) -> list[MeshPart]:
    """Every triangle primitive of the default scene in world coordinates.

    Errors: InputError without the file's name, which `read_mesh` adds.
    """
    try:
        return _Document(data).parts()
    except DAMAGE as error:
        raise InputError(f"is damaged or no binary glTF 2.0 ({type(error).__name__}: {error})") from error


class _Document:
    """The JSON of a glb with its block of bytes."""

    def __init__(self, data: bytes):
        if len(data) < HEADER:
            raise InputError(f"is damaged: {len(data)} bytes are too few for a binary glTF 2.0; export it again")
        magic, version, length = struct.unpack_from("<4sII", data)
        if magic != b"glTF" or version != 2:
            raise InputError("is no binary glTF 2.0; export it as .glb version 2")
        if length > len(data):
            raise InputError(f"ends after {len(data)} of {length} bytes; copy it again")
        self.left = ALWAYS + GROWTH * len(data)
        self.pictures: dict[int, np.ndarray] = {}
        chunks, start = {}, HEADER
        while start + 8 <= length:
            size, kind = struct.unpack_from("<I4s", data, start)
            chunks.setdefault(kind, data[start + 8 : start + 8 + size])
            start += 8 + size
        if len(chunks[b"JSON"]) > LARGEST_JSON:
            raise InputError(f"describes itself in more than {LARGEST_JSON >> 20} MiB; split the scene")
        self.json: dict[str, Any] = json.loads(chunks[b"JSON"])
        self.block = chunks.get(b"BIN\0", b"")
        if missing := set(self.json.get("extensionsRequired", [])) - UNDERSTOOD:
            raise InputError(f"needs the glTF extension {min(missing)}, which is not read; export it without")

    def parts(self) -> list[MeshPart]:
        scenes = self.json.get("scenes", [])
        roots = scenes[self.json.get("scene", 0)].get("nodes", []) if scenes else range(len(self.json["nodes"]))
        world: dict[int, np.ndarray] = {}
        for root in roots:
            self._place(root, np.eye(4), world)
        found = []
        for index, matrix in world.items():
            node = self.json["nodes"][index]
            if "mesh" in node:
                mesh = self.json["meshes"][node["mesh"]]
                weights = node.get("weights", mesh.get("weights", []))
                joints = self._joint_matrices(node["skin"], world) if "skin" in node else None
                for primitive in mesh["primitives"]:
                    if primitive.get("mode", TRIANGLES) in (TRIANGLES, STRIP, FAN):
                        if len(found) == MOST_PARTS:
                            raise InputError(f"has more than {MOST_PARTS} parts; join them in a 3D program first")
                        found.append(self._part(primitive, weights, matrix, joints))
        return found

    def _place(self, index: int, parent: np.ndarray, world: dict[int, np.ndarray]) -> None:
        """World matrix of a node and of all under it."""
        node = self.json["nodes"][index]
        if index in world:
            raise ValueError(f"node {index} hangs under two parents")
        if len(world) == MOST_NODES:
            raise InputError(f"has more than {MOST_NODES} nodes; join them in a 3D program first")
        world[index] = parent @ _local_matrix(node)
        for child in node.get("children", []):
            self._place(child, world[index], world)

    def _joint_matrices(self, index: int, world: dict[int, np.ndarray]) -> Float[np.ndarray, "joints 4 4"]:
        skin = self.json["skins"][index]
        matrices = np.stack([world[joint] for joint in skin["joints"]])
        if "inverseBindMatrices" in skin:
            # Stored column by column.
            matrices = matrices @ self.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        return matrices

    def _part(self, primitive: dict, weights: list[float], matrix: np.ndarray, joints: np.ndarray | None) -> MeshPart:
        attributes = primitive["attributes"]
        position = self.accessor(attributes["POSITION"]).astype(np.float64)
        normal = self.accessor(attributes["NORMAL"]).astype(np.float64) if "NORMAL" in attributes else None
        if position.shape[1] != 3 or (normal is not None and normal.shape != position.shape):
            raise ValueError("positions and normals are not one for each vertex")
        for weight, target in zip(weights, primitive.get("targets", []), strict=False):
            if weight and "POSITION" in target:
                position = position + weight * self.accessor(target["POSITION"])
            if weight and normal is not None and "NORMAL" in target:
                normal = normal + weight * self.accessor(target["NORMAL"])
        if joints is not None:
            matrix = self._blend(attributes, joints)
        position, normal = _moved(position, normal, matrix)
        corners = self.accessor(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(len(position))
        material = self._material(primitive)
        texture = material.get("baseColorTexture")
        uv = self._uv(attributes, texture) if texture else None
        colours = self.accessor(attributes["COLOR_0"])[:, :3] if "COLOR_0" in attributes else 1.0
        return MeshPart(
            vertices=position,
            faces=_triangles(corners.astype(np.int64), primitive.get("mode", TRIANGLES)),
            normals=normal,
            # glTF counts v downwards.
            uv=None if uv is None else uv * [1, -1] + [0, 1],
            colours=np.broadcast_to(np.array(material.get("baseColorFactor", [1] * 4))[:3] * colours, position.shape),
            picture=None if uv is None or texture is None else self._picture(texture["index"]),
            plain=not attributes.keys() & {"COLOR_0"} and not material.keys() & {"baseColorFactor", "baseColorTexture"},
        )

    def _uv(self, attributes: dict[str, int], texture: dict[str, Any]) -> Float[np.ndarray, "vertices 2"] | None:
        """Where a texture is looked up, v downwards; None where the mesh has no such coordinates."""
        change = texture.get("extensions", {}).get(TEXTURE_TRANSFORM, {})
        index = attributes.get(f"TEXCOORD_{change.get('texCoord', texture.get('texCoord', 0))}")
        if index is None:
            return None
        uv = self.accessor(index)[:, :2] * np.array(change.get("scale", [1, 1]), float)
        # Counter-clockwise as one sees it, v being downwards: as three.js and Khronos' sample viewer do.
        cosine, sine = np.cos(change.get("rotation", 0.0)), np.sin(change.get("rotation", 0.0))
        return uv @ np.array([[cosine, -sine], [sine, cosine]]) + np.array(change.get("offset", [0, 0]), float)

    def _blend(self, attributes: dict[str, int], joints: np.ndarray) -> Float[np.ndarray, "vertices 4 4"]:
        """The matrix of each vertex: its joints' matrices mixed by its weights."""
        total, share = 0.0, 0.0
        for index in range(sum(name.startswith("JOINTS_") for name in attributes)):
            chosen = self.accessor(attributes[f"JOINTS_{index}"]).astype(np.int64)
            weight = self.accessor(attributes[f"WEIGHTS_{index}"])
            total = total + np.einsum("vs,vskl->vkl", weight, joints[chosen])
            share = share + weight.sum(1)
        return total / np.maximum(share, np.finfo(np.float32).tiny)[:, None, None]

    def _material(self, primitive: dict[str, Any]) -> dict[str, Any]:
        if "material" not in primitive:
            return {}
        return self.json["materials"][primitive["material"]].get("pbrMetallicRoughness", {})

    def _picture(self, index: int) -> np.ndarray:
        texture = self.json["textures"][index]
        others = texture.get("extensions", {})
        source = next((others[name]["source"] for name in TEXTURE_FORMATS if name in others), None)
        source = texture["source"] if source is None else source
        if source not in self.pictures:
            self.pictures[source] = self._read_picture(self.json["images"][source])
            if sum(picture.nbytes for picture in self.pictures.values()) > PICTURES:
                raise InputError("has more textures than can be drawn; remove some, or scale them down")
        return self.pictures[source]

    def _read_picture(self, image: dict[str, Any]) -> np.ndarray:
        if "bufferView" in image:
            return read_picture(self._view(image["bufferView"]))
        if image["uri"].startswith("data:"):
            return read_picture(base64.b64decode(image["uri"].partition(",")[2]))
        raise InputError(f"keeps its texture in another file ({image['uri']}); export it with the texture embedded")

    def _view(self, index: int) -> bytes:
        view = self.json["bufferViews"][index]
        start, length = _size(view.get("byteOffset", 0)), _size(view["byteLength"])
        if view.get("buffer", 0) != 0 or start + length > len(self.block):
            raise ValueError(f"buffer view {index} lies outside of the file")
        return self.block[start : start + length]

    def accessor(self, index: int) -> np.ndarray:
        """The rows of an accessor; normalised integers as floats."""
        entry = self.json["accessors"][index]
        kind, width, count = np.dtype(COMPONENT[entry["componentType"]]), WIDTH[entry["type"]], _size(entry["count"])
        self.left -= count * max(ROW, width * kind.itemsize)
        if self.left < 0:
            raise InputError("announces far more numbers than a file of its size holds; export it again")
        rows = np.zeros((count, width), kind)
        if "bufferView" in entry:
            stride = _size(self.json["bufferViews"][entry["bufferView"]].get("byteStride", width * kind.itemsize))
            if not width * kind.itemsize <= stride <= max(LONGEST_STRIDE, width * kind.itemsize):
                raise ValueError(f"accessor {index} has rows that overlap or lie far apart")
            data = self._view(entry["bufferView"])[_size(entry.get("byteOffset", 0)) :]
            if count and (count - 1) * stride + width * kind.itemsize > len(data):
                raise ValueError(f"accessor {index} reaches beyond its buffer view")
            rows = np.ndarray((count, width), kind, data, strides=(stride, kind.itemsize)).copy()
        if sparse := entry.get("sparse"):
            where, values, changed = sparse["indices"], sparse["values"], _size(sparse["count"])
            if changed > count:
                raise ValueError(f"accessor {index} changes more rows than it has")
            at = np.frombuffer(
                self._view(where["bufferView"]),
                COMPONENT[where["componentType"]],
                changed,
                _size(where.get("byteOffset", 0)),
            ).astype(np.int64)
            new = np.frombuffer(
                self._view(values["bufferView"]), kind, changed * width, _size(values.get("byteOffset", 0))
            )
            rows[at] = new.reshape(-1, width)
        if entry.get("normalized"):
            return np.maximum(rows / np.float32(np.iinfo(kind).max), -1.0)
        return rows


def _size(value: Any) -> int:
    """A count or an offset. Errors: ValueError where it is none."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]} is no size")
    return value


def _local_matrix(node: dict[str, Any]) -> Float[np.ndarray, "4 4"]:
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = np.array(node.get("rotation", [0, 0, 0, 1]), float)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", [1, 1, 1]), float)
    matrix[:3, 3] = node.get("translation", [0, 0, 0])
    return matrix


def _moved(
    position: Float[np.ndarray, "vertices 3"], normal: Float[np.ndarray, "vertices 3"] | None, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Points and normals under one matrix, or one per vertex."""
    matrix = np.broadcast_to(matrix, (len(position), 4, 4))
    moved = np.einsum("vkl,vl->vk", matrix[:, :3, :3], position) + matrix[:, :3, 3]
    if normal is None:
        return moved, None
    # Normals turn with the cofactors: the inverse transposed, up to length, but finite for flattened meshes too.
    a, b, c = (matrix[:, :3, column] for column in range(3))
    turned = normal[:, :1] * np.cross(b, c) + normal[:, 1:2] * np.cross(c, a) + normal[:, 2:] * np.cross(a, b)
    return moved, turned


def _triangles(corners: Int[np.ndarray, "corners"], mode: int) -> Int[np.ndarray, "faces 3"]:
    if mode == TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == FAN:
        return np.stack([np.full(max(len(corners) - 2, 0), corners[0]), corners[1:-1], corners[2:]], -1)
    strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], -1)
    strip[1::2] = strip[1::2, [1, 0, 2]]
    return strip
