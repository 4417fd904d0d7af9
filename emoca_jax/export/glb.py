"""The container of binary glTF 2.0: typed arrays in one block of bytes, and a JSON text that points into it.

Written directly: the libraries that write it know no skins and morph targets (trimesh), or mirror the JSON without
helping to fill it (pygltflib). Source: Khronos glTF 2.0 specification, sections 3.6 and 4.4.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Num

FLOAT, UNSIGNED_BYTE, UNSIGNED_SHORT, UNSIGNED_INT = 5126, 5121, 5123, 5125
COMPONENT = {"f": FLOAT, "B": UNSIGNED_BYTE, "H": UNSIGNED_SHORT, "I": UNSIGNED_INT}
"""glTF's name of a NumPy type."""
VERTEX_BUFFER, INDEX_BUFFER = 34962, 34963
VEC3_BYTES = 12


class GlbBuilder:
    """Collects the block of bytes and the accessors that point into it."""

    def __init__(self):
        self.data = bytearray()
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []
        self._zeros: int | None = None
        """The view under all sparse accessors, once there is one."""

    def view(self, data: bytes, *, target: int | None = None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)})
        if target is not None:
            self.views[-1]["target"] = target
        self.data += data
        return len(self.views) - 1

    def accessor(
        self, array: Num[np.ndarray, "rows *components"], kind: str, *, target: int | None = None, bounds: bool = False
    ) -> int:
        """Store an array densely; `kind` is the glTF element type of its rows."""
        return self._add(array, kind, self.view(array.tobytes(), target=target), bounds)

    def sparse(
        self, dense: Float[np.ndarray, "vertices 3"], keep: Bool[np.ndarray, "vertices"], *, bounds: bool
    ) -> int:
        """Store only the rows in the mask `keep`; all others are the zeros that every sparse accessor shares.

        The specification allows to leave the zeros out. Assimp 5, VTK, Open3D and panda3d then refuse the file.
        """
        dense = np.where(keep[:, None], dense, np.float32(0))
        rows = np.flatnonzero(keep)
        zeros = self._shared_zeros(dense.nbytes)
        if not len(rows):
            return self._add(dense, "VEC3", zeros, bounds)
        index = rows.astype(np.uint16 if len(dense) <= 1 << 16 else np.uint32)
        entries = {
            "count": len(rows),
            "indices": {
                "bufferView": self.view(index.tobytes()),
                "byteOffset": 0,
                "componentType": COMPONENT[index.dtype.char],
            },
            "values": {"bufferView": self.view(dense[rows].tobytes()), "byteOffset": 0},
        }
        return self._add(dense, "VEC3", zeros, bounds, sparse=entries)

    def _shared_zeros(self, length: int) -> int:
        """A view of at least so many zeros; the bytes are written at the end, when the longest is known."""
        if self._zeros is None:
            # Accessors that share a view must say how far their rows lie apart.
            self.views.append({"buffer": 0, "byteLength": 0, "byteStride": VEC3_BYTES, "target": VERTEX_BUFFER})
            self._zeros = len(self.views) - 1
        zeros = self.views[self._zeros]
        zeros["byteLength"] = max(zeros["byteLength"], length)
        return self._zeros

    def _add(self, array: np.ndarray, kind: str, view: int, bounds: bool, **source: dict[str, Any]) -> int:
        entry = {"bufferView": view, "byteOffset": 0, "componentType": COMPONENT[array.dtype.char]}
        entry |= {"count": len(array), "type": kind, **source}
        if bounds:
            entry |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def to_bytes(self, document: dict[str, Any]) -> bytes:
        """Header, JSON chunk padded with spaces, binary chunk padded with zeros."""
        self.data += b"\0" * (-len(self.data) % 4)
        if self._zeros is not None:
            zeros = self.views[self._zeros]
            zeros["byteOffset"] = len(self.data)
            self.data += bytes(zeros["byteLength"])
        document = document | {
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.data)}],
        }
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        return b"".join(
            [
                struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(self.data)),
                struct.pack("<I4s", len(text), b"JSON"),
                text,
                struct.pack("<I4s", len(self.data), b"BIN\0"),
                bytes(self.data),
            ]
        )
