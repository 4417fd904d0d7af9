"""Parametric heads: codes in, posed vertices and landmarks out. FLAME and the open head are one type."""

from emoca_jax.flame.albedo import albedo_map
from emoca_jax.flame.head import AlbedoModel, FaceHead, LandmarkEmbedding, LandmarkLag
from emoca_jax.flame.head_file import load_head, save_head
from emoca_jax.flame.landmarks import (
    contour_at,
    contour_bin,
    landmarks68,
    landmarks68_fixed,
    landmarks_mediapipe,
    points_on_mesh,
)
from emoca_jax.flame.rotations import rotation_matrix, yaw_degrees
from emoca_jax.flame.skinning import FlameOutput, forward, unposed_vertices
from emoca_jax.flame.visemes import VISEMES, has_visemes, viseme_codes

__all__ = [
    "VISEMES",
    "AlbedoModel",
    "FaceHead",
    "FlameOutput",
    "LandmarkEmbedding",
    "LandmarkLag",
    "albedo_map",
    "contour_at",
    "contour_bin",
    "forward",
    "has_visemes",
    "landmarks68",
    "landmarks68_fixed",
    "landmarks_mediapipe",
    "load_head",
    "points_on_mesh",
    "rotation_matrix",
    "save_head",
    "unposed_vertices",
    "viseme_codes",
    "yaw_degrees",
]
