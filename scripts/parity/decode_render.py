"""`DecaModule.decode`: the coarse rendering and its layers."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from emoca_jax.detail import VISIBLE_NORMAL
from emoca_jax.model import Reconstruction, decode, sample
from emoca_jax.render import interpolate
from parity.assets import Assets
from parity.decoding import MASK, PIXEL, SIZE, Layers, official_layers, photos, stored_codes, variant_of
from parity.golden import Comparison, Golden, Tolerance
from parity.layout import to_first


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    variant = variant_of(golden)
    mesh = assets.golden(golden.name.replace("decode_render", "decode_mesh"))
    model, codes, images = assets.model(variant), stored_codes(mesh), photos(assets, mesh)
    head = model.head
    found: Reconstruction = decode(head, codes, SIZE, official=True)
    layers = official_layers(head, found.vertices, codes.camera, found.albedo, codes.light)
    alpha = found.alpha
    yield from golden.check("alpha_images", alpha[:, None], MASK)
    yield from golden.check("images", to_first(found.rendering), PIXEL)
    yield from golden.check("albedo_images", to_first(layers.albedo), PIXEL)
    yield from golden.check("shading_images", to_first(layers.shading), PIXEL)
    yield from golden.check("normal_images", to_first(found.normal_image), PIXEL)
    yield from golden.check("grid", to_first(layers.surface.uv_plane), PIXEL)
    yield from golden.check("pos_mask", to_first(turned_to_viewer(head, layers)), MASK)
    face_eye = face_eye_image(model.maps["face_eye_mask"], layers)
    mask = face_eye * alpha[..., None]
    yield from golden.check("mask_face_eye", to_first(face_eye), PIXEL)
    yield from golden.check("masks", to_first(mask), PIXEL)
    yield from golden.check("predicted_images", to_first(found.rendering * mask + images * (1 - mask)), PIXEL)
    yield from golden.check("albedo", to_first(found.albedo), Tolerance(absolute=1e-5))


def turned_to_viewer(head, layers: Layers) -> np.ndarray:
    """[B, H, W, 1]: where the projected mesh's normal points at the viewer (background: its normal is zero)."""
    depth_normal = interpolate(layers.fragments, layers.image_normals, head.faces)[..., 2:]
    return np.asarray(depth_normal < -VISIBLE_NORMAL)


def face_eye_image(mask: np.ndarray, layers: Layers) -> jnp.ndarray:
    """[B, H, W, 1]: the uv mask of face and eyes in the image plane; on the background the mask's middle."""
    return sample(jnp.asarray(mask)[..., None], layers.surface, official=True)
