"""`DecaModule.decode`: the detail stage, in uv space and in the image."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp

from emoca_jax.detail import unwrap_image, uv_visibility
from emoca_jax.model import decode, sample
from emoca_jax.objectives.coarse import uv_mask_image
from emoca_jax.render.clay import clay_image
from parity.assets import Assets
from parity.decoding import (
    MASK,
    PIXEL,
    SIZE,
    TEXEL_NORMAL,
    official_detail,
    photos,
    stored_codes,
    variant_of,
)
from parity.golden import Comparison, Golden
from parity.layout import to_first
from parity.noise import within_noise


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    variant = variant_of(golden)
    mesh = assets.golden(golden.name.replace("decode_detail", "decode_mesh"))
    model, codes, images = assets.model(variant), stored_codes(mesh), photos(assets, mesh)
    head, stage = model.head, official_detail(assets, variant)
    found = decode(head, codes, SIZE, detail=stage, official=True)
    assert found.detail is not None
    layers = found.surface
    yield from golden.check("uv_z", found.detail.predicted[:, None], within_noise("uv_z"))
    yield from golden.check("displacement_map", found.detail.displacement[:, None], within_noise("uv_z"))
    yield from golden.check("uv_detail_normals", to_first(found.detail.normals), TEXEL_NORMAL)
    yield from golden.check("uv_shading", to_first(found.detail.shading), PIXEL)
    yield from golden.check("uv_texture", to_first(found.detail.texture), PIXEL)

    mask = (uv_mask_image(found, jnp.asarray(model.maps["face_eye_mask"])) * found.alpha)[..., None]
    photo = unwrap_image(stage, found.image_vertices, head.faces, jnp.concatenate([images, mask], axis=-1))
    turned = uv_visibility(stage, found.image_normals, head.faces)
    yield from golden.check("uv_texture_gt", to_first(photo[..., :3]), PIXEL)
    yield from golden.check("uv_mask", turned[:, None], MASK)
    yield from golden.check("uv_vis_mask", (photo[..., 3] * turned * stage.mask[None])[:, None], PIXEL)

    drawn = sample(found.detail.texture, layers.uv_plane, official=True)
    yield from golden.check("predicted_detailed_image", to_first(drawn * mask + images * (1 - mask)), PIXEL)
    # Their grey is a vertex colour, so it fades where barycentrics do not quite sum to 1.
    grey = layers.fragments.barycentric.sum(axis=-1)
    wrinkled = sample(found.detail.normals, layers.uv_plane, official=True)
    yield from golden.check("geometry_coarse", to_first(clay_image(found.normal_image, grey)), PIXEL)
    yield from golden.check("geometry_detail", to_first(clay_image(wrinkled, grey)), PIXEL)
