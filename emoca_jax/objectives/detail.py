"""The detail stage's whole loss: wrinkles that look like the photo's, in the head's texture (DECA section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Float

from emoca_jax.arrays import to_rank
from emoca_jax.detail import DetailModel, unwrap_image, uv_visibility
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.losses import detail, mrf, photometric
from emoca_jax.model import Reconstruction, sample
from emoca_jax.nets.vgg import VGG19
from emoca_jax.objectives.judges import as_batch, judge
from emoca_jax.objectives.terms import Objective, objective

EMOCA_DETAIL_WEIGHTS = {
    "photometric": 5.0,
    "mrf": 5.0 * 0.05,
    "displacement_size": 0.005,
    "shading_roughness": 0.005,
    "asymmetry": 0.005,
}
"""`sfsw`, `sfsw` times `mrfwr`, `zregw`, `zdiffw`, `zsymw` of EMOCA's released configuration."""
DECA_DETAIL_WEIGHTS = EMOCA_DETAIL_WEIGHTS | {"photometric": 2.0, "mrf": 2.0 * 0.05}
"""`photo_D`, and `photo_D` times `mrf`, of DECA's released configuration (section 3.4)."""


class DetailBatch(struct.PyTreeNode):
    """What is known of the photos."""

    images: Float[Array, "*batch height width 3"]
    """RGB in [0, 1]."""
    mask: Float[Array, "*batch height width"] | None = None
    """1 where the segmented face is; None: where the head is drawn."""


def detail_objective(
    head: FaceHead,
    stage: DetailModel,
    found: Reconstruction,
    batch: DetailBatch,
    vgg: dict | None,
    weights: Mapping[str, float],
    *,
    official: bool = False,
) -> Objective:
    """Weighted terms of a batch of faces decoded with the detail stage, against their photos.

    found: `decode(head, codes, ..., detail=stage)` at the size of the images. vgg: variables of `nets.vgg.VGG19`, None
    where "mrf" has no weight. weights: as EMOCA_DETAIL_WEIGHTS; what is compared is the face, at `stage.span`.
    official: as it was decoded. Differentiable to what the displacement depends on (detail, expression and jaw codes).
    The metric `photometric_image` is the distance in the image. Errors: InputError where the face was decoded without
    detail, a weight names no term, or "mrf" has no network.
    """
    decoded = found.detail
    if decoded is None:
        raise InputError("The detail losses need a face decoded with its detail: pass `detail` to `decode`.")
    mask = lax.stop_gradient(found.alpha) if batch.mask is None else batch.mask
    truth = mask[..., None]
    photo = unwrap_image(stage, found.image_vertices, head.faces, jnp.concatenate([batch.images, truth], axis=-1))
    turned = uv_visibility(stage, found.image_normals, head.faces)
    visible = lax.stop_gradient(photo[..., 3] * turned * to_rank(stage.mask, turned.ndim))
    pictures = detail.visible_patches(decoded.texture, lax.stop_gradient(photo[..., :3]), visible, span=stage.span)

    def resemblance() -> Array:
        variables = judge(vgg, "mrf", "vgg")
        maps: Any = [VGG19().apply(variables, as_batch(picture)) for picture in pictures]
        return mrf.id_mrf(*(layers._asdict() for layers in maps))

    terms = {
        "photometric": lambda: jnp.mean(jnp.abs(pictures[0] - pictures[1])),
        "mrf": resemblance,
        "displacement_size": lambda: detail.displacement_size(decoded.predicted),
        "shading_roughness": lambda: detail.shading_roughness(decoded.shading),
        "asymmetry": lambda: detail.hidden_asymmetry(decoded.predicted, visible),
    }
    drawn = sample(decoded.texture, lax.stop_gradient(found.surface.uv_plane), official=official)
    whole = drawn * truth + batch.images * (1 - truth)
    metrics = {"photometric_image": photometric.photometric_distance(whole, batch.images, mask)}
    return objective(terms, weights, metrics=lax.stop_gradient(metrics))
