"""jaxrenderer: plain JAX, as ours."""

import jax
import jax.numpy as jnp
import numpy as np
from job import START, Prepared, run
from renderer import Buffers, Camera
from renderer.pipeline import render
from renderer.shaders.depth import DepthExtraInput, DepthShader


def prepare(vertices, faces, size):
    view = jnp.array([[1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, -1.0, 0], [0, 0, 0, 1.0]])
    projection = Camera.orthographic_projection_matrix(-1.0, 1.0, -1.0, 1.0, -START, START)
    viewport = Camera.viewport_matrix(jnp.zeros(2), jnp.array([size, size]), jnp.array(1.0))
    camera = Camera.create(view=view, projection=projection, viewport=viewport)
    corners = jnp.asarray(faces)

    @jax.jit
    def draw(points):
        blank = Buffers(zbuffer=jnp.full((size, size), 1e9), targets=())
        drawn = render(camera, DepthShader, blank, corners, DepthExtraInput(position=points))
        return drawn.zbuffer

    def mean(points):
        depth = draw(points)
        return jnp.where(depth < 1e6, depth, 0).mean()

    slope = jax.jit(jax.grad(mean))

    def forward():
        images = np.stack([np.asarray(draw(jnp.asarray(points))) for points in vertices])
        # Columns come first, rows from below, and depth from -START to START as 0 to 1.
        return (np.swapaxes(images, 1, 2)[:, ::-1] - 0.5) * 2 * START

    def gradient():
        return np.stack([np.asarray(slope(jnp.asarray(points))) for points in vertices])

    return Prepared("jaxrenderer", forward, gradient, "depth")


run(prepare)
