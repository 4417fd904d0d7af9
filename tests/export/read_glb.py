"""A glb reader of its own for the tests, and what a viewer does with it: morph, then skin. Source: glTF 2.0."""

import json
import struct

import numpy as np

COMPONENT: dict[int, type[np.number]] = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    def __init__(self, data: bytes):
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.json = json.loads(data[20 : 20 + size])
        self.bytes = data[20 + size + 8 :]

    def view(self, index, offset=0):
        view = self.json["bufferViews"][index]
        return self.bytes[view["byteOffset"] + offset : view["byteOffset"] + view["byteLength"]]

    def accessor(self, index) -> np.ndarray:
        entry = self.json["accessors"][index]
        kind, width = COMPONENT[entry["componentType"]], WIDTH[entry["type"]]
        if "bufferView" in entry:
            array = np.frombuffer(self.view(entry["bufferView"]), kind, entry["count"] * width)
        else:
            array = np.zeros(entry["count"] * width, kind)
        array = array.reshape(entry["count"], width).copy()
        if sparse := entry.get("sparse"):
            rows = np.frombuffer(
                self.view(sparse["indices"]["bufferView"]), COMPONENT[sparse["indices"]["componentType"]]
            )
            array[rows] = np.frombuffer(self.view(sparse["values"]["bufferView"]), kind).reshape(-1, width)
        return array

    def joint_matrices(self):
        nodes, skin = self.json["nodes"], self.json["skins"][0]
        world = {}

        def walk(index, parent):
            node = nodes[index]
            local = np.eye(4)
            local[:3, 3] = node.get("translation", [0, 0, 0])
            x, y, z, w = node.get("rotation", [0, 0, 0, 1])
            # Rotating e_i by the quaternion: v + 2w (q x v) + 2 q x (q x v).
            for column, v in enumerate(np.eye(3)):
                turn = np.cross([x, y, z], v)
                local[:3, column] = v + 2 * w * turn + 2 * np.cross([x, y, z], turn)
            world[index] = parent @ local
            for child in node.get("children", []):
                walk(child, world[index])

        for root in self.json["scenes"][0]["nodes"]:
            walk(root, np.eye(4))
        inverse_bind = self.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        return np.stack([world[joint] @ bind for joint, bind in zip(skin["joints"], inverse_bind, strict=True)])

    def shown(self, weights=None):
        """Triangles [F, 3, 3] as a viewer shows them: default weights unless given by name, default joint rotations."""
        matrices = self.joint_matrices()
        meshes = [self.json["meshes"][node["mesh"]] for node in self.json["nodes"] if "mesh" in node]
        return np.concatenate([self._shown(mesh, weights, matrices) for mesh in meshes])

    def _shown(self, mesh, weights, matrices):
        (primitive,) = mesh["primitives"]
        attributes = primitive["attributes"]
        position = self.accessor(attributes["POSITION"]).astype(np.float64)
        names = mesh.get("extras", {}).get("targetNames", [])
        given = mesh.get("weights", []) if weights is None else [weights.get(name, 0.0) for name in names]
        for weight, target in zip(given, primitive.get("targets", []), strict=True):
            position = position + weight * self.accessor(target["POSITION"])
        blends = [
            np.einsum("vs,vskl->vkl", self.accessor(attributes[f"WEIGHTS_{i}"]), matrices[joints])
            for i in (0, 1)
            if f"JOINTS_{i}" in attributes
            for joints in [self.accessor(attributes[f"JOINTS_{i}"])]
        ]
        blend = np.sum(blends, axis=0)
        position = np.einsum("vkl,vl->vk", blend[:, :3, :3], position) + blend[:, :3, 3]
        return position[self.accessor(primitive["indices"]).reshape(-1, 3)]
