"""emoca_jax.render."""

import jax
import jax.numpy as jnp
import numpy as np
from job import Prepared, run

from emoca_jax import render


def prepare(vertices, faces, size):
    # One image as people draw one: without a batch dimension.
    vertices, faces = jnp.asarray(vertices[0] if len(vertices) == 1 else vertices), jnp.asarray(faces)

    @jax.jit
    def depth(vertices, faces):
        fragments = render.rasterize(vertices, faces, (size, size))
        return fragments.depth, fragments.face_index

    @jax.jit
    def slope(vertices, faces):
        def mean(vertices):
            depth = render.rasterize(vertices, faces, (size, size)).depth
            return jnp.where(jnp.isfinite(depth), depth, 0).mean()

        return jax.grad(mean)(vertices)

    def forward():
        return np.asarray(depth(vertices, faces)[0]).reshape(-1, size, size)

    return Prepared("emoca-jax", forward, lambda: np.asarray(slope(vertices, faces)), "depth and face")


run(prepare)
