"""One face to files, beside each other under one name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from emoca_jax.errors import InputError, checked_size
from emoca_jax.export.detail_maps import LARGEST_DISPLACEMENT, detail_obj, displacement_map, normal_map
from emoca_jax.export.gltf import head_glb
from emoca_jax.export.obj import head_mtl, head_obj
from emoca_jax.export.pictures.comparison import comparison
from emoca_jax.export.png import grey_png, png_bytes
from emoca_jax.export.rig.levels import coarser_triangles
from emoca_jax.export.rig.naming import NAMINGS
from emoca_jax.export.tables import codes_npz, summary_json
from emoca_jax.export.usd import head_usdz
from emoca_jax.faces import ReconstructedFace
from emoca_jax.files.face_formats import FACE_FORMATS, NAME_STYLES, format_problem
from emoca_jax.files.version import package_version
from emoca_jax.files.whole import MARK, open_folder, result_path, write_results

LOD_ENDINGS = ("_lod1.glb", "_lod2.glb")
"""Of the coarser levels of detail, in the order of `levels.LEVELS`."""
DETAIL_MTL = """# {mark}
# {name}_normals.png (tangent space) and {name}_displacement.png belong on the coarse {name}.obj,
# which has the same uv; black is {middle} m of displacement, white {strength} m more.
newmtl skin
Ka 0 0 0
Kd 1 1 1
Ks 0 0 0
illum 1
map_Kd {name}_texture.png
"""


def save_face(
    result: ReconstructedFace,
    path: str | Path,
    formats: Iterable[str] = FACE_FORMATS,
    *,
    size: int = 384,
    names: str = "default",
    lod: bool = False,
) -> list[Path]:
    """Write the chosen formats; `out/anna_0` gives out/anna_0.glb, .obj (+ .mtl, _texture.png), .npz, .json, .png.

    glb, obj and usdz carry the skin's colour without the photo's light; _photo_texture.png beside them is the same
    texture with it.

    A model with a detail stage adds _detail.obj (+ .mtl), _normals.png and _displacement.png to the .obj, the normal
    map to the .glb and the displacement to the .npz.

    size: side in pixels of one tile of the comparison picture; names: of meshes, materials and bones in .glb and .usdz,
    one of `NAME_STYLES`; lod: coarser levels of detail of the .glb as well (_lod1.glb, _lod2.glb).

    Older results of these names are replaced, each whole or not at all. Returns the files written. Errors: InputError
    for a format or a style that is unknown or cannot be written here, a place that cannot be written, and a file of one
    of these names that is no result.
    """
    path, formats = result_path(path), _chosen(formats)
    checked_size("size", size, least=16, most=4096)
    for problem in filter(None, map(format_problem, sorted(formats))):
        raise InputError(problem)
    if names not in NAME_STYLES:
        raise InputError(f"names must be one of {', '.join(NAME_STYLES)}, not {names!r}")
    if lod and "glb" not in formats:
        raise InputError("levels of detail are levels of the .glb: add glb to the formats, or leave lod out")
    open_folder(path.parent)
    files: dict[str, bytes] = {}
    wrinkled = result.detail_model is not None
    normals = png_bytes(normal_map(result)) if wrinkled and formats & {"glb", "obj"} else None
    texture = png_bytes(result.texture) if formats & {"glb", "obj", "usdz"} else b""
    naming = NAMINGS[names]
    if "glb" in formats:
        coarser = coarser_triangles(result.head) if lod else []
        for ending, triangles in zip((".glb", *LOD_ENDINGS), (None, *coarser), strict=False):
            files[ending] = head_glb(
                result.head,
                result.codes,
                result.neutral_vertices,
                texture,
                normal_png=normals,
                name=os.fsencode(path.name).decode(errors="replace"),
                generator=f"emoca_jax {package_version()}",
                naming=naming,
                triangles=triangles,
            )
    if "usdz" in formats:
        files[".usdz"] = head_usdz(result.head, result.codes, result.neutral_vertices, texture, naming=naming)
    if formats & {"glb", "obj", "usdz"}:
        files["_photo_texture.png"] = png_bytes(result.photo_texture)
    if "obj" in formats:
        # What a file points to is written before it, and names keep the very bytes they have on disk.
        files["_texture.png"] = texture
        files[".mtl"] = os.fsencode(_marked(head_mtl(result.head, texture_file=f"{path.name}_texture.png")))
        files[".obj"] = os.fsencode(_marked(head_obj(result.head, result.vertices, material_file=f"{path.name}.mtl")))
        files |= _detail_files(result, path.name, normals) if normals is not None else {}
    if "npz" in formats:
        files[".npz"] = codes_npz(result)
    if "json" in formats:
        files[".json"] = summary_json(result)
    if "png" in formats:
        files[".png"] = png_bytes(comparison(result, size=size))
    return write_results({path.with_name(path.name + ending): data for ending, data in files.items()})


def _chosen(formats: Iterable[str]) -> set[str]:
    """The formats asked for. Errors: InputError where these are none, or one name that is no tuple of one."""
    given = () if isinstance(formats, str) or not isinstance(formats, Iterable) else tuple(formats)
    if not given or not all(isinstance(name, str) for name in given):
        raise InputError(f"formats must be names such as ('glb', 'json'), not {formats!r}.")
    return set(given)


def _detail_files(result: ReconstructedFace, name: str, normals: bytes) -> dict[str, bytes]:
    """The displaced surface as a mesh, and the maps that put it on the coarse one."""
    material = DETAIL_MTL.format(mark=MARK, name=name, strength=2 * LARGEST_DISPLACEMENT, middle=-LARGEST_DISPLACEMENT)
    return {
        "_normals.png": normals,
        "_displacement.png": grey_png(displacement_map(result)),
        "_detail.mtl": os.fsencode(material),
        "_detail.obj": os.fsencode(_marked(detail_obj(result, material_file=f"{name}_detail.mtl"))),
    }


def _marked(text: str) -> str:
    """An OBJ or MTL that says who made it."""
    return f"# {MARK} {package_version()}\n{text}"
