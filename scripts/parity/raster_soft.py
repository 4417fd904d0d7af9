"""pytorch3d's soft silhouette of a sphere, with 50 and with 4 faces a pixel: coverage, gradients, nearest faces."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.render import soft_fragments, soft_silhouette
from parity.assets import Assets
from parity.golden import EXACT, Comparison, Golden, Tolerance

COVERAGE, GRADIENT, DISTANCE = Tolerance(absolute=1e-5), Tolerance(relative=1e-3), Tolerance(absolute=1e-6)
TURN = np.array([-1, -1, 1], np.float32)
"""pytorch3d's x points left and its y up."""
SHOWN = 4
"""Of the nearest faces, in the file."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("verts", "faces", "W", "blur_radius", "sigma")
    vertices, faces = jnp.asarray(golden["verts"] * TURN), jnp.asarray(golden["faces"])
    weights, radius = jnp.asarray(golden["W"]), float(golden["blur_radius"])
    rows, columns = weights.shape
    for count in (50, 4):
        name = f"K{count}"

        def loss(vertices, count=count):
            alpha = soft_silhouette(
                vertices,
                faces,
                (rows, columns),
                sigma=float(golden["sigma"]),
                blur_radius=radius,
                faces_per_pixel=count,
            )
            return jnp.sum(alpha * weights), alpha

        (_, alpha), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(vertices)
        yield from golden.check(f"{name}/alpha", alpha, COVERAGE)
        yield from golden.check(f"{name}/grad_verts", gradient * TURN[None], GRADIENT)
        nearest = soft_fragments(vertices, faces, (rows, columns), blur_radius=radius, faces_per_pixel=count)
        index = np.asarray(nearest.face_index)
        yield from golden.check(f"{name}/pix_to_face_k4", index[..., :SHOWN], EXACT)
        yield from golden.check(f"{name}/dists_k4", nearest.squared_distance[..., :SHOWN], DISTANCE)
        yield from golden.check(f"{name}/n_faces_per_pixel", (index >= 0).sum(axis=-1), EXACT)
