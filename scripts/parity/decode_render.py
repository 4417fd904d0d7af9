"""`DecaModule.decode`: the coarse rendering and its layers."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from emoca_jax.detail import VISIBLE_NORMAL
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import Reconstruction, decode
from emoca_jax.objectives.coarse import uv_mask_image
from emoca_jax.render import interpolate
from parity.assets import Assets
from parity.decoding import MASK, PIXEL, SIZE, photos, stored_codes, variant_of
from parity.golden import Comparison, Golden, Tolerance
from parity.layout import to_first


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    variant = variant_of(golden)
    mesh = assets.golden(golden.name.replace("decode_render", "decode_mesh"))
    model, codes, images = assets.model(variant), stored_codes(mesh), photos(assets, mesh)
    head = model.head
    found: Reconstruction = decode(head, codes, SIZE, official=True)
    layers = found.surface
    alpha = found.alpha
    yield from golden.check("alpha_images", alpha[:, None], MASK)
    yield from golden.check("images", to_first(found.rendering), PIXEL)
    yield from golden.check("albedo_images", to_first(layers.albedo), PIXEL)
    yield from golden.check("shading_images", to_first(layers.shading), PIXEL)
    yield from golden.check("normal_images", to_first(found.normal_image), PIXEL)
    yield from golden.check("grid", to_first(layers.uv_plane), PIXEL)
    yield from golden.check("pos_mask", to_first(turned_to_viewer(head, found)), MASK)
    face_eye = uv_mask_image(found, jnp.asarray(model.maps["face_eye_mask"]))[..., None]
    mask = face_eye * alpha[..., None]
    yield from golden.check("mask_face_eye", to_first(face_eye), PIXEL)
    yield from golden.check("masks", to_first(mask), PIXEL)
    yield from golden.check("predicted_images", to_first(found.rendering * mask + images * (1 - mask)), PIXEL)
    yield from golden.check("albedo", to_first(found.albedo), Tolerance(absolute=1e-5))


def turned_to_viewer(head: FaceHead, found: Reconstruction) -> np.ndarray:
    """[B, H, W, 1]: where the projected mesh's normal points at the viewer (background: its normal is zero)."""
    depth_normal = interpolate(found.surface.fragments, found.image_normals, head.faces)[..., 2:]
    return np.asarray(depth_normal < -VISIBLE_NORMAL)
