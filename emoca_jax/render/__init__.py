"""A differentiable renderer for triangle meshes in plain JAX; it knows no face model and no network."""

from emoca_jax.render.antialias import antialias
from emoca_jax.render.camera import look_at, orthographic, perspective, weak_perspective
from emoca_jax.render.draw import Drawing, EdgeStyle, draw, finish_edges, fragments_for_edges, over
from emoca_jax.render.fill import push_pull
from emoca_jax.render.interpolate import interpolate
from emoca_jax.render.lighting import directional_lights, point_lights, sh_basis, spherical_harmonics
from emoca_jax.render.neighbours import Edges, mesh_edges
from emoca_jax.render.normals import face_normals, normalize, vertex_normals
from emoca_jax.render.rasterize import Fragments, barycentric_slopes, rasterize
from emoca_jax.render.soft import SoftFragments, soft_fragments, soft_rasterize, soft_silhouette
from emoca_jax.render.texture import mip_level, mip_pyramid, sample_image, sample_texture
from emoca_jax.render.uv import rasterize_uv

__all__ = [
    "Drawing",
    "EdgeStyle",
    "Edges",
    "Fragments",
    "SoftFragments",
    "antialias",
    "barycentric_slopes",
    "directional_lights",
    "draw",
    "face_normals",
    "finish_edges",
    "fragments_for_edges",
    "interpolate",
    "look_at",
    "mesh_edges",
    "mip_level",
    "mip_pyramid",
    "normalize",
    "orthographic",
    "over",
    "perspective",
    "point_lights",
    "push_pull",
    "rasterize",
    "rasterize_uv",
    "sample_image",
    "sample_texture",
    "sh_basis",
    "soft_fragments",
    "soft_rasterize",
    "soft_silhouette",
    "spherical_harmonics",
    "vertex_normals",
    "weak_perspective",
]
