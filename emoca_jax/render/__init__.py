"""A differentiable renderer for triangle meshes in plain JAX; it knows no face model and no network."""

from emoca_jax.render.camera import weak_perspective
from emoca_jax.render.fill import push_pull
from emoca_jax.render.interpolate import interpolate
from emoca_jax.render.lighting import sh_basis, spherical_harmonics
from emoca_jax.render.normals import face_normals, normalize, vertex_normals
from emoca_jax.render.rasterize import Fragments, rasterize
from emoca_jax.render.soft import SoftFragments, soft_fragments, soft_rasterize, soft_silhouette
from emoca_jax.render.texture import sample_image, sample_texture
from emoca_jax.render.uv import rasterize_uv

__all__ = [
    "Fragments",
    "SoftFragments",
    "face_normals",
    "interpolate",
    "normalize",
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
