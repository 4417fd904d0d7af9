"""Gradients of the renderer to mesh, camera, albedo and light, and of the detail normals to the displacement."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.detail import displaced_normals, predict_displacement, to_uv
from emoca_jax.model import Reconstruction, decode, decode_posed
from parity.assets import Assets
from parity.decoding import SIZE, official_detail, stored_codes
from parity.golden import Comparison, Golden, Tolerance
from parity.layout import to_first, to_last

GRADIENT = Tolerance(relative=1e-3)
VERTEX_GRADIENT = Tolerance(relative=1e-3, outliers=0.0005, farthest=0.01)
"""Barycentrics of a face seen edge-on change without bound; a few vertices of such faces may be further away."""
VARIANT = "emoca"


def weights(size: int) -> np.ndarray:
    """[1, 3, size, size]: what the reference multiplied its pictures with before it summed them."""
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    return np.stack([np.sin(3 * x + y), np.cos(2 * y), x * y + 0.3]).astype(np.float32)[None]


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    image_weights = weights(SIZE[0])
    yield from golden.check("Wm", image_weights, Tolerance(absolute=1e-6))
    head, codes = assets.model(VARIANT).head, stored_codes(assets.golden("decode_mesh"))
    coarse = decode(head, codes, SIZE, official=True)
    of_images = to_last(image_weights)

    @jax.jit
    def gradients(head, posed, codes, albedo):
        def pictures(vertices, camera, albedo, light):
            moved = posed.replace(vertices=vertices), codes.replace(camera=camera, light=light)
            drawn = decode_posed(head, *moved, SIZE, albedo, official=True)
            return jnp.sum(drawn.rendering * of_images), jnp.sum(drawn.surface.normals * of_images)

        parts = (posed.vertices, codes.camera, albedo, codes.light)
        first = jax.grad(lambda *parts: pictures(*parts)[0], argnums=(0, 1, 2, 3))(*parts)
        return first, jax.grad(lambda *parts: pictures(*parts)[1], argnums=(0, 1))(*parts)

    of_rendering, of_normals = gradients(head, coarse.posed, codes, coarse.albedo)
    for name, gradient in zip(("verts", "cam", "albedo", "light"), of_rendering, strict=True):
        found = to_first(gradient) if name == "albedo" else gradient
        tolerance = VERTEX_GRADIENT if name == "verts" else GRADIENT
        yield from golden.check(f"grad_images_{name}", found, tolerance)
    for name, gradient in zip(("verts", "cam"), of_normals, strict=True):
        tolerance = VERTEX_GRADIENT if name == "verts" else GRADIENT
        yield from golden.check(f"grad_normalimages_{name}", gradient, tolerance)
    yield from _detail(assets, golden, coarse)


def _detail(assets: Assets, golden: Golden, coarse: Reconstruction) -> Iterator[Comparison]:
    head, stage = assets.model(VARIANT).head, official_detail(assets, VARIANT)
    codes = stored_codes(assets.golden("decode_mesh"))
    points = to_uv(stage.uv_fragments, coarse.vertices, head.faces)
    yield from golden.check("uv_coarse_vertices", to_first(points), Tolerance(absolute=1e-6))
    of_texels = to_last(weights(stage.mask.shape[0]))

    def weighted(displacement, vertices, normals):
        found = displaced_normals(stage, displacement, vertices, normals, head.faces, official=True)
        return jnp.sum(found * of_texels)

    displacement = predict_displacement(stage, codes)
    gradient = jax.jit(jax.grad(weighted))(displacement, coarse.vertices, coarse.normals)
    yield from golden.check("grad_detailnormals_uvz", gradient[:, None], GRADIENT)
