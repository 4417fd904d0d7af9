"""USDZ: the head as a UsdSkel model with skeleton, blend shapes and texture.

Needs the package `usd-core`, OpenUSD's own. Source: OpenUSD's schemas UsdSkel and UsdPreviewSurface; its USDZ
specification.
"""

# The package may be absent, and tells type checkers nothing where it is there.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from emoca_jax.codes import Codes
from emoca_jax.export.gltf import DARK, MATERIALS, SKIN_MATERIAL
from emoca_jax.export.rig.levels import all_triangles
from emoca_jax.export.rig.naming import PLAIN, Naming
from emoca_jax.export.rig.shapes import Morphs, Part, morphs_of, parts_of, targets_of
from emoca_jax.export.rig.skeleton import Bone, local_transforms, rest_transforms, skeleton
from emoca_jax.files.whole import USD_LAYER
from emoca_jax.flame.head import FaceHead

ROOT, TEXTURE = "/head", "albedo.png"
MIRRORS_NOTHING = 1.0
"""Index of refraction at which a surface reflects ((1 - n) / (1 + n))² = 0 of what falls on it."""


def head_usdz(
    head: FaceHead,
    codes: Codes,
    neutral_vertices: Float[np.ndarray, "vertices 3"],
    texture_png: bytes,
    *,
    naming: Naming = PLAIN,
) -> bytes:
    """A .usdz of one person, as `gltf.head_glb` makes a .glb: the same frame, bones, meshes and shapes.

    The photo's expression, jaw and eyes are the one pose of its animation. Errors: ImportError without usd-core.
    """
    from pxr import Sdf, Usd, UsdGeom, UsdSkel

    rotations = np.concatenate([np.zeros((2, 3)), np.asarray(codes.jaw)[None], np.asarray(codes.eyes)])
    shaped = neutral_vertices + np.asarray(head.expression_dirs) @ np.asarray(codes.expression)
    bones = skeleton(head, neutral_vertices, np.asarray(head.joint_regressor) @ shaped, rotations, naming)
    morphs = morphs_of(head, codes, neutral_vertices, rotations, all_triangles(head))
    with tempfile.TemporaryDirectory() as folder:
        layer, texture = Path(folder) / USD_LAYER, Path(folder) / TEXTURE
        texture.write_bytes(texture_png)
        stage = Usd.Stage.CreateNew(str(layer))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        root = UsdSkel.Root.Define(stage, ROOT).GetPrim()
        stage.SetDefaultPrim(root)
        order = _parents_first(bones)
        skeleton_path = _define_skeleton(stage, bones, order, morphs)
        for part in parts_of(head, all_triangles(head), naming):
            mesh = _define_mesh(stage, head, part, neutral_vertices, morphs, order)
            UsdSkel.BindingAPI.Apply(mesh).CreateSkeletonRel().SetTargets([skeleton_path])
            _bind_material(stage, mesh, part.part, naming.materials.get(part.part, part.part))
        stage.GetRootLayer().Save()
        package = Path(folder) / "head.usdz"
        writer = Sdf.ZipFileWriter.CreateNew(str(package))
        writer.AddFile(str(layer), layer.name)
        writer.AddFile(str(texture), TEXTURE)
        writer.Save()
        return package.read_bytes()


def _parents_first(bones: list[Bone]) -> list[int]:
    """Numbers of the bones in the order that UsdSkel wants them in."""
    return sorted(range(len(bones)), key=lambda number: (_path(bones, number).count("/"), number))


def _path(bones: list[Bone], number: int) -> str:
    bone = bones[number]
    return bone.name if bone.parent < 0 else f"{_path(bones, bone.parent)}/{bone.name}"


def _define_skeleton(stage: Any, bones: list[Bone], order: list[int], morphs: Morphs) -> Any:
    """Skeleton and the one pose of its animation; returns the skeleton's path."""
    from pxr import Gf, UsdSkel, Vt

    paths = [_path(bones, number) for number in order]
    bind = rest_transforms(bones)[order].swapaxes(1, 2)  # USD multiplies rows from the left
    skel = UsdSkel.Skeleton.Define(stage, f"{ROOT}/skeleton")
    skel.CreateJointsAttr(paths)
    skel.CreateBindTransformsAttr(Vt.Matrix4dArray.FromNumpy(np.ascontiguousarray(bind)))
    shifts, rests = local_transforms(bones, posed=False)
    skel.CreateRestTransformsAttr(
        [
            Gf.Matrix4d(Gf.Rotation(_quaternion(Gf.Quatd, rests[number])), Gf.Vec3d(*shifts[number].tolist()))
            for number in order
        ]
    )
    shifts, turns = local_transforms(bones, posed=True)
    animation = UsdSkel.Animation.Define(stage, f"{ROOT}/photo")
    animation.CreateJointsAttr(paths)
    animation.CreateTranslationsAttr(Vt.Vec3fArray.FromNumpy(shifts[order].astype(np.float32)))
    animation.CreateRotationsAttr([_quaternion(Gf.Quatf, turns[number]) for number in order])
    animation.CreateScalesAttr([Gf.Vec3h(1, 1, 1)] * len(order))
    animation.CreateBlendShapesAttr(morphs.names)
    animation.CreateBlendShapeWeightsAttr(morphs.weights)
    UsdSkel.BindingAPI.Apply(skel.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    return skel.GetPath()


def _quaternion(kind: Any, xyzw: np.ndarray) -> Any:
    x, y, z, w = xyzw.tolist()
    return kind(w, x, y, z)


def _define_mesh(
    stage: Any,
    head: FaceHead,
    part: Part,
    neutral: Float[np.ndarray, "vertices 3"],
    morphs: Morphs,
    order: list[int],
) -> Any:
    from pxr import Gf, Sdf, UsdGeom, UsdSkel, Vt

    mesh = UsdGeom.Mesh.Define(stage, f"{ROOT}/{part.name}")
    points = neutral[part.vertex].astype(np.float32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    mesh.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)])))
    mesh.CreateFaceVertexCountsAttr([3] * len(part.faces))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(part.faces.reshape(-1).astype(np.int32)))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(MATERIALS.get(part.part, SKIN_MATERIAL)[1])
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(morphs.normals[part.vertex].astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    st = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
    st.Set(Vt.Vec2fArray.FromNumpy(np.asarray(head.uv, np.float32)[part.uv]))

    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    weights = np.asarray(head.skin_weights, np.float32)[part.vertex]
    joints = np.argsort(order)[: weights.shape[1]].astype(np.int32)  # where the head's joints stand among the bones
    several = weights.shape[1]
    indices = Vt.IntArray.FromNumpy(np.tile(joints, len(weights)))
    binding.CreateJointIndicesPrimvar(False, several).Set(indices)
    shares = weights / weights.sum(1, keepdims=True)
    binding.CreateJointWeightsPrimvar(False, several).Set(Vt.FloatArray.FromNumpy(shares.reshape(-1)))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    kept = targets_of(morphs, part)
    if kept:
        shapes = [_define_shape(stage, mesh, part, morphs, target) for target in kept]
        binding.CreateBlendShapesAttr([morphs.names[target] for target in kept])
        binding.CreateBlendShapeTargetsRel().SetTargets(shapes)
    return mesh.GetPrim()


def _define_shape(stage: Any, mesh: Any, part: Part, morphs: Morphs, target: int) -> Any:
    """One blend shape of a mesh: what moves, and how far; returns its path."""
    from pxr import UsdSkel, Vt

    shape = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(morphs.names[target]))
    moved = np.flatnonzero((morphs.shifted[target] | morphs.turned[target])[part.vertex])
    moved = moved if len(moved) else np.array([0])  # silence: a shape that moves nothing must not be empty
    vertex = part.vertex[moved]
    shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved.astype(np.int32)))
    shape.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(morphs.shifts[target, vertex].astype(np.float32)))
    shape.CreateNormalOffsetsAttr(Vt.Vec3fArray.FromNumpy(morphs.turns[target, vertex].astype(np.float32)))
    return shape.GetPath()


def _bind_material(stage: Any, mesh: Any, part: str, name: str) -> None:
    """The material of a part: the texture, and how much it shines; made once."""
    from pxr import Sdf, UsdShade

    path = Sdf.Path(f"{ROOT}/materials/{name}")
    material = UsdShade.Material.Get(stage, path)
    if not material:
        material = UsdShade.Material.Define(stage, path)
        reader = UsdShade.Shader.Define(stage, path.AppendChild("uv"))
        reader.CreateIdAttr("UsdPrimvarReader_float2")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
        picture = UsdShade.Shader.Define(stage, path.AppendChild("albedo"))
        picture.CreateIdAttr("UsdUVTexture")
        picture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(TEXTURE)
        picture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
        picture.CreateInput("wrapS", Sdf.ValueTypeNames.Token).Set("clamp")
        picture.CreateInput("wrapT", Sdf.ValueTypeNames.Token).Set("clamp")
        picture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(
            reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
        )
        shine = UsdShade.Shader.Define(stage, path.AppendChild("surface"))
        shine.CreateIdAttr("UsdPreviewSurface")
        shine.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(MATERIALS.get(part, SKIN_MATERIAL)[0])
        shine.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(0.0)
        if part in DARK:
            shine.CreateInput("ior", Sdf.ValueTypeNames.Float).Set(MIRRORS_NOTHING)
        shine.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).ConnectToSource(
            picture.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
        )
        material.CreateSurfaceOutput().ConnectToSource(shine.CreateOutput("surface", Sdf.ValueTypeNames.Token))
    UsdShade.MaterialBindingAPI.Apply(mesh).Bind(material)
