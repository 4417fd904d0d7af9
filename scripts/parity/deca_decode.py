"""`DECA.decode` of the original code base, on what its encoders read in one image."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel, displaced_points, grid_normals, to_uv, unwrap_image
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import Reconstruction, decode, sample
from emoca_jax.render.clay import clay_image
from parity.assets import Assets
from parity.decoding import (
    MASK,
    METRES,
    PIXEL,
    SIZE,
    TEXEL_NORMAL,
    official_detail,
    official_names,
    photos,
    stored_codes,
)
from parity.golden import Comparison, Golden, Tolerance
from parity.layout import to_first
from parity.noise import within_noise

IN_PIXELS = Tolerance(absolute=1e-3)
"""Image plane times 112."""
PLANE = Tolerance(absolute=1e-5)
VISIBLE_LANDMARK, VISIBLE_CLAY = 0.1, 0.15
"""A normal's component away from the viewer up to which DECA counts a landmark, or draws the clay picture."""
MARGIN = (5, 2)
"""Rows and columns at each border of the uv map that DECA's dense mesh leaves out; EMOCA's has them."""
RENDERINGS = 3
"""Each of which moves the mesh away by 10 in place."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("image_index", *official_names(golden))
    head, stage = assets.model("deca").head, official_detail(assets, "deca")
    codes, images = stored_codes(golden), photos(assets, golden)
    found = decode(head, codes, SIZE, detail=stage, official=True)
    assert found.detail is not None
    yield from golden.check("verts", found.vertices, METRES)
    moved = found.image_vertices + jnp.array([[[0.0, 0.0, 10.0 * RENDERINGS]]])
    yield from golden.check("trans_verts", moved, PLANE, "theirs moved away by 10 in each of three renderings")
    fixed = flame.landmarks68_fixed(head, found.vertices)
    yield from golden.check("landmarks3d_world", fixed, METRES)
    half = SIZE[0] / 2
    yield from golden.check("landmarks2d", (found.landmarks[..., :2] + 1) * half, IN_PIXELS)
    layers = found.surface
    plane = render.weak_perspective(fixed, codes.camera)
    turned = flame.points_on_mesh(found.image_normals, head.faces, head.landmarks_full)[..., 2:]
    seen = (turned < VISIBLE_LANDMARK).astype(jnp.float32)
    three = jnp.concatenate([(plane[..., :2] + 1) * half, plane[..., 2:], seen], axis=-1)
    yield from golden.check("landmarks3d", three, IN_PIXELS, "the fourth column is their visibility")

    yield from golden.check("alpha_images", found.alpha[:, None], MASK)
    unlit = to_first(found.albedo_image)
    note = "their decode() does not hand the light to the renderer: this is the albedo"
    yield from golden.check("rendered_images", unlit, PIXEL, note)
    yield from golden.check("vis_rendered_images", unlit, PIXEL, note)
    yield from golden.check("normal_images", to_first(found.normal_image), PIXEL)
    yield from golden.check("albedo", to_first(found.albedo), Tolerance(absolute=1e-5))
    yield from _maps(golden, head, stage, codes, images, found)
    # Their grey is a vertex colour, so it fades where barycentrics do not quite sum to 1; what faces away is cut out.
    grey = layers.fragments.barycentric.sum(axis=-1)
    towards = render.interpolate(layers.fragments, found.image_normals, head.faces)[..., 2] < VISIBLE_CLAY
    coverage = grey * towards.astype(grey.dtype)
    yield from golden.check("vis_shape_images", to_first(clay_image(found.normal_image, coverage)), PIXEL)
    normals = bordered_normals(stage, head, found)
    wrinkled = sample(normals, layers.uv_plane, official=True)
    yield from golden.check("vis_shape_detail_images", to_first(clay_image(wrinkled, coverage)), PIXEL)


def _maps(golden: Golden, head, stage: DetailModel, codes: Codes, images, found) -> Iterator[Comparison]:
    """What lies in uv space."""
    normals = bordered_normals(stage, head, found)
    texture = found.albedo * render.spherical_harmonics(normals, codes.light)
    photo = unwrap_image(stage, found.image_vertices, head.faces, images)
    mask = stage.mask[None, ..., None]
    yield from golden.check(
        "uv_detail_normals", to_first(normals), TEXEL_NORMAL, "their dense mesh lacks the map's margin"
    )
    yield from golden.check("uv_texture", to_first(texture), PIXEL)
    note = "the photo where the mask is, the rendered texture elsewhere"
    yield from golden.check("uv_texture_gt", to_first(photo * mask + texture * (1 - mask)), PIXEL, note)
    yield from golden.check("displacement_map", found.detail.displacement[:, None], within_noise("uv_z"))


def bordered_normals(stage: DetailModel, head: FaceHead, found: Reconstruction) -> jnp.ndarray:
    """Detail normals [B, 256, 256, 3] as the original code base has them: zero in the margin, coarse off the mask."""
    assert found.detail is not None
    points = displaced_points(stage, found.detail.predicted, found.vertices, found.normals, head.faces)
    rows, columns = (slice(margin, size - margin) for margin, size in zip(MARGIN, points.shape[1:3], strict=True))
    inner = grid_normals(points[:, rows, columns], official=True)
    dense = jnp.pad(inner, [(0, 0), *((margin, margin) for margin in MARGIN), (0, 0)])
    mask = stage.mask[None, ..., None]
    return dense * mask + to_uv(stage.uv_fragments, found.normals, head.faces) * (1 - mask)
