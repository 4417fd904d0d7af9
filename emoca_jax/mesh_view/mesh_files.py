"""Meshes of any program read back as one mesh ready to draw: .glb by our own reader, .obj and .ply by trimesh."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from emoca_jax.errors import InputError
from emoca_jax.files.failed_downloads import failed_download, packed
from emoca_jax.files.regular import read_regular
from emoca_jax.mesh_view.beside import text_of
from emoca_jax.mesh_view.glb_reading import read_glb
from emoca_jax.mesh_view.mesh_part import MeshPart, read_picture
from emoca_jax.mesh_view.obj_materials import KEYWORD, MaterialFiles

SUFFIXES = (".glb", ".obj", ".ply")
MOST_MATERIALS = 1000
"""Of an .obj: trimesh makes a mesh of each, in milliseconds that add up."""
CLAY = (0.45, 0.43, 0.41)
"""Linear RGB of a mesh that has no colour of its own: the grey of the comparison picture."""


@dataclass(frozen=True)
class Mesh:
    """A whole file as one mesh: arrays have one row per vertex, `face_picture` one per face.

    vertices: in the file's unit, x right, y up, z to the viewer of the front. normals: unit length. uv: origin bottom
    left, zero where there is no texture. colours: linear RGB, to be multiplied with the picture. pictures: sRGB
    textures, row 0 at v = 1. face_picture: which of them a face wears, -1 for none.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    normals: Float[np.ndarray, "vertices 3"]
    uv: Float[np.ndarray, "vertices 2"]
    colours: Float[np.ndarray, "vertices 3"]
    face_picture: Int[np.ndarray, "faces"]
    pictures: tuple[UInt8[np.ndarray, "height width 3"], ...]
    lacking: tuple[str, ...] = ()
    """Textures and material libraries that were not found or not readable: the end of a sentence each, which begins
    with the file's name. The mesh is drawn without."""


def read_mesh(path: str | Path) -> Mesh:
    """Read a .glb (as a viewer shows it: scene transforms, default morph weights and pose), .obj (with its .mtl and
    textures) or .ply.

    Errors: InputError, one sentence that names the file, where it is missing, damaged, of another format, or without
    faces that could be drawn.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: is not one of {', '.join(SUFFIXES)}; export the mesh as one of these")
    try:
        data = read_regular(path)
    except InputError as error:
        raise InputError(f"{path}: cannot be read: it {str(error).removeprefix(f'{path}: ')}") from error
    told = failed_download(data[:1024]) or packed(data[:1024])
    if told:
        raise InputError(f"{path}: is {told}")
    try:
        # Numbers that overflow are named where they matter: among the vertices.
        with np.errstate(all="ignore"):
            parts, lacking = (read_glb(data), []) if suffix == ".glb" else _read_with_trimesh(data, path)
            mesh = join([_checked(part) for part in parts if len(part.faces)])
        return replace(mesh, lacking=tuple(dict.fromkeys(lacking)))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def join(parts: list[MeshPart]) -> Mesh:
    """One mesh out of many parts; a picture that several of them wear is kept once.

    Errors: InputError where there is nothing to draw.
    """
    if not parts:
        raise InputError("has no faces; a point cloud cannot be drawn, make a mesh of it first")
    first = np.cumsum([0, *(len(part.vertices) for part in parts)])
    kept: dict[tuple[Any, ...], int] = {}
    pictures: list[np.ndarray] = []
    worn = []
    for part in parts:
        number = -1
        if part.picture is not None and part.uv is not None:
            key = (part.picture.shape, part.picture.tobytes())
            number = kept.setdefault(key, len(pictures))
            if number == len(pictures):
                pictures.append(part.picture)
        worn.append(np.full(len(part.faces), number, np.int32))
    vertices = np.concatenate([part.vertices for part in parts])
    if not np.ptp(vertices, axis=0).any():
        raise InputError("has no extent: all its vertices lie in one point")
    none = [np.zeros((len(part.vertices), 2)) for part in parts]
    return Mesh(
        vertices=vertices.astype(np.float32),
        faces=np.concatenate([s.faces + start for s, start in zip(parts, first[:-1], strict=True)]).astype(np.int32),
        normals=np.concatenate([_unit_normals(part) for part in parts]).astype(np.float32),
        uv=np.concatenate([s.uv if s.uv is not None else zero for s, zero in zip(parts, none, strict=True)]).astype(
            np.float32
        ),
        colours=np.concatenate(
            [np.broadcast_to(CLAY, s.colours.shape) if s.plain else s.colours for s in parts]
        ).astype(np.float32),
        face_picture=np.concatenate(worn),
        pictures=tuple(pictures),
    )


def _checked(part: MeshPart) -> MeshPart:
    """The part with only the vertices that its faces use, all of them finite."""
    if part.faces.min() < 0 or part.faces.max() >= len(part.vertices):
        raise InputError(f"is damaged: a face names vertex {part.faces.max()} of {len(part.vertices)}")
    for array, width in ((part.vertices, 3), (part.normals, 3), (part.uv, 2), (part.colours, 3)):
        if array is not None and array.shape != (len(part.vertices), width):
            raise InputError(f"is damaged: {len(part.vertices)} vertices have numbers of shape {list(array.shape)}")
    used, faces = np.unique(part.faces, return_inverse=True)
    vertices = part.vertices[used]
    broken = int(np.count_nonzero(~np.isfinite(vertices).all(1)))
    if broken:
        raise InputError(f"{broken} of {len(vertices)} vertices are not finite numbers; repair the mesh")
    # Rendering is single precision; beyond this even the square of a length overflows.
    if np.abs(vertices).max() > np.sqrt(np.finfo(np.float32).max) / 4:
        raise InputError("has coordinates too large to draw; scale the mesh down")

    def rows(array: np.ndarray | None, default: float) -> np.ndarray | None:
        return None if array is None else np.nan_to_num(array[used], nan=default, posinf=default, neginf=default)

    return MeshPart(
        vertices=vertices,
        faces=faces.reshape(-1, 3),
        normals=rows(part.normals, 0.0),
        uv=rows(part.uv, 0.0),
        colours=np.clip(np.nan_to_num(part.colours[used]), 0, 1),
        picture=part.picture,
        plain=part.plain,
    )


def _unit_normals(part: MeshPart) -> Float[np.ndarray, "vertices 3"]:
    """The file's normals, else area-weighted ones; vertices that lie on each other, as along seams, share theirs."""
    if part.normals is not None and np.abs(part.normals).max() > 0:
        return _unit(part.normals)
    _, place = np.unique(part.vertices, axis=0, return_inverse=True)
    place = place.reshape(-1)
    a, b, c = (part.vertices[part.faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros((place.max() + 1, 3))
    for corner in range(3):
        np.add.at(total, place[part.faces[:, corner]], across)
    return _unit(total)[place]


def _unit(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    # Scaled first: the squares of small numbers would vanish.
    vectors = vectors / np.maximum(np.abs(vectors).max(-1, keepdims=True), np.finfo(np.float64).tiny)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.finfo(np.float64).tiny)


def to_linear(colour: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """sRGB in [0, 1] to linear light. Source: IEC 61966-2-1."""
    return np.where(colour <= 0.04045, colour / 12.92, ((np.maximum(colour, 0) + 0.055) / 1.055) ** 2.4)


def _read_with_trimesh(data: bytes, path: Path) -> tuple[list[MeshPart], list[str]]:
    """The parts, and what they lack."""
    import trimesh

    # What it says of textures would appear without context; `lacking` says it.
    logging.getLogger("trimesh").setLevel(logging.ERROR)
    try:
        kind = path.suffix[1:].lower()
        text = _obj_text(data) if kind == "obj" else ""
        if len(set(re.findall(r"(?m)^[ \t]*usemtl[^\r\n]*", text))) > MOST_MATERIALS:
            raise InputError(f"has more than {MOST_MATERIALS} materials; join them in a 3D program first")
        file = io.StringIO(text) if kind == "obj" else io.BytesIO(data)
        files = MaterialFiles(str(path))
        scene = trimesh.load_scene(file, kind, resolver=files, process=False)
        parts = [_as_part(part, files.pictures) for part in scene.dump() if isinstance(part, trimesh.Trimesh)]
        return parts, files.lacking
    except InputError:
        raise
    except Exception as error:  # a parser that meets a damaged file raises whatever its next step stumbles over
        kind = path.suffix[1:].lower()
        raise InputError(f"is damaged or no {kind} ({type(error).__name__}: {error})") from error


def _obj_text(data: bytes) -> str:
    """An .obj as trimesh knows it: blanks between words, no remarks behind numbers, lines that end as on this system.

    Errors: InputError for a face with vertex 0: they count from 1, and trimesh would take the last one.
    """
    text = re.sub(r"\r\n?", "\n", text_of(data)).replace("\t", " ")
    text = re.sub(r"(?m)^( *(?:v[nt]?|f) [^#\n]*)#[^\n]*", r"\1", text)
    if re.search(r"(?m)^ *f [^\n]*?(?<![^ ])0+(?![^ /\n])", text):
        raise InputError("is damaged: a face names vertex 0; they count from 1")
    return text


def _as_part(mesh: Any, pictures: list[np.ndarray]) -> MeshPart:
    """A trimesh.Trimesh, of which colours are sRGB by custom. pictures: those that `MaterialFiles` has read."""
    visual, vertices = mesh.visual, np.asarray(mesh.vertices, float)
    uv, picture, colours, plain = None, None, None, True
    if visual.kind == "texture":
        material = visual.material
        image = getattr(material, "image", None)
        uv = None if visual.uv is None else np.asarray(visual.uv, float)
        # trimesh makes up a material with a 2 x 2 picture where the file has a uv layout and no colour.
        plain = material.name == "material_0" and not material.kwargs and getattr(image, "size", None) == (2, 2)
        if KEYWORD in material.kwargs:
            number, *placed = map(float, material.kwargs[KEYWORD])
            picture = pictures[int(number)]
            uv = None if uv is None else uv * placed[:2] + placed[2:]
        elif image is not None and not plain:
            picture = read_picture(image)
        # A texture replaces the diffuse colour in .obj viewers.
        if plain or picture is None or uv is None:
            picture, colours = None, np.asarray(material.main_color, float)[:3] / 255
    elif visual.kind in ("vertex", "face"):
        plain = False
        colours = np.asarray(visual.vertex_colors, float)[:, :3] / 255
    stored = "vertex_normals" in mesh._cache
    return MeshPart(
        vertices=vertices,
        faces=np.asarray(mesh.faces, np.int64).reshape(-1, 3),
        normals=np.asarray(mesh.vertex_normals, float) if stored else None,
        uv=uv,
        colours=np.broadcast_to(np.ones(3) if colours is None else to_linear(colours), vertices.shape),
        picture=picture,
        plain=plain,
    )
