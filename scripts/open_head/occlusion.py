"""How much of the sky each vertex sees: nostrils, ears, lips and lids are dark as light does not reach in."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from emoca_jax import render

DIRECTIONS = 64
SIZE = 512
BIAS = 0.012
"""Decimetres that a vertex may lie behind the surface seen and still count as seen."""
HALF_WIDTH = 1.9
"""Decimetres from the centre that the pictures reach."""


def open_sky(vertices: np.ndarray, faces: np.ndarray, directions: int = DIRECTIONS) -> np.ndarray:
    """[V] cosine-weighted share of directions from which each vertex is seen, 1 on a free convex surface."""
    normals = np.asarray(render.vertex_normals(jnp.asarray(vertices, jnp.float32), jnp.asarray(faces)))
    seen, possible = np.zeros(len(vertices)), np.full(len(vertices), 1e-6)
    centre = (vertices.min(0) + vertices.max(0)) / 2
    for direction in _fibonacci(directions):
        frame = _frame(direction)
        turned = (vertices - centre) @ frame.T / HALF_WIDTH
        plane = np.stack([turned[:, 0], -turned[:, 1], -turned[:, 2]], -1).astype(np.float32)
        depth = np.asarray(render.rasterize(jnp.asarray(plane), jnp.asarray(faces), (SIZE, SIZE)).depth)
        cell = np.clip(((plane[:, :2] + 1) * SIZE / 2).astype(int), 0, SIZE - 1)
        visible = plane[:, 2] <= depth[cell[:, 1], cell[:, 0]] + BIAS / HALF_WIDTH
        cosine = np.clip(normals @ direction, 0, None)
        seen += cosine * visible
        possible += cosine
    return seen / possible


def _fibonacci(count: int) -> np.ndarray:
    """Directions spread evenly over the sphere."""
    k = np.arange(count) + 0.5
    height, turn = 1 - 2 * k / count, np.pi * (1 + np.sqrt(5)) * k
    across = np.sqrt(1 - height**2)
    return np.stack([across * np.cos(turn), height, across * np.sin(turn)], 1)


def _frame(direction: np.ndarray) -> np.ndarray:
    """Rotation whose third row is `direction`."""
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(direction, across), direction])
