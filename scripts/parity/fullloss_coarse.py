"""The coarse stage's whole loss on made-up landmarks, as training has it: each term, and its gradient to each code."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from emoca_jax.objectives.coarse import CoarseBatch, Judges
from emoca_jax.objectives.terms import Objective
from emoca_jax.training.stages.coarse import Coarse, drawn_loss
from emoca_jax.training.stages.encoders import EXPRESSION, OfficialEncoders
from parity.assets import Assets
from parity.decoding import PREFIX, codes_of, official_names, photos
from parity.golden import Comparison, Golden, Tolerance

WEIGHTS = {
    "landmarks": 1.0,
    "eyes": 0.5,
    "lips": 0.5,
    "mouth_corners": 0.5,
    "landmarks_mediapipe": 1.0,
    "eyes_mediapipe": 0.5,
    "lips_mediapipe": 0.5,
    "mouth_corners_mediapipe": 0.5,
    "photometric": 2.0,
    "identity": 0.15,
    "shape_prior": 1e-4,
    "expression_prior": 1e-4,
    "albedo_prior": 1e-4,
    "light_colour": 12.0,
    "emotion": 1.0,
}
"""The made-up run's configuration with what the file's note changes in it."""
OFFICIAL_TERMS = {
    "landmark": "landmarks",
    "eye_distance": "eyes",
    "lip_distance": "lips",
    "mouth_corner_distance": "mouth_corners",
    "landmark_mediapipe": "landmarks_mediapipe",
    "eye_distance_mediapipe": "eyes_mediapipe",
    "lip_distance_mediapipe": "lips_mediapipe",
    "mouth_corner_distance_mediapipe": "mouth_corners_mediapipe",
    "photometric_texture": "photometric",
    "identity": "identity",
    "shape_reg": "shape_prior",
    "expression_reg": "expression_prior",
    "tex_reg": "albedo_prior",
    "light_reg": "light_colour",
    "coarse_emonet_feat_2_L1": "emotion",
}
TERM = Tolerance(relative=1e-4)
SMALL = Tolerance(absolute=1e-6, relative=1e-4)
"""For differences of numbers of the size of 1, which cancel down to its rounding."""
CODE_GRADIENT = Tolerance(relative=5e-3)
"""Single ReLUs of the networks switch with the last bit of the rendering (see noise.GRADIENT): without fused products
ours moves by up to .0009 of the largest value on seed 1, and the official rounding comes on top."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    names = official_names(golden)
    yield from golden.inputs("image_index", "mask", "lmk", "lmk_mp", "note", *names)
    arrays = {name.removeprefix(PREFIX): jnp.asarray(golden[name]) for name in names}
    gradients, found = _gradients(assets, golden, arrays)
    for official, name in OFFICIAL_TERMS.items():
        yield from golden.check(f"loss_{official}", found.terms[name], SMALL if name == "identity" else TERM)
    yield from golden.check("loss_total", found.total, TERM)
    yield from _metrics(golden, found)
    for name, gradient in gradients.items():
        yield from golden.check(f"grad_{name}", gradient, CODE_GRADIENT)


def _gradients(
    assets: Assets, golden: Golden, arrays: dict[str, jnp.ndarray]
) -> tuple[dict[str, jnp.ndarray], Objective]:
    model = assets.model("emoca")
    judges = Judges(assets.variables("emotion_resnet50"), assets.variables("identity_resnet50"))
    batch = CoarseBatch(photos(assets, golden), jnp.asarray(golden["lmk"]), jnp.asarray(golden["lmk_mp"]))
    mask = jnp.asarray(model.maps["face_eye_mask"])

    def loss(arrays, head, batch, judges, mask):
        coarse = Coarse(head, OfficialEncoders(), EXPRESSION, WEIGHTS, judges, uv_mask=mask, official=True)
        objective = drawn_loss(coarse, codes_of(arrays), batch)
        return objective.total, objective

    return jax.jit(jax.grad(loss, has_aux=True))(arrays, model.head, batch, judges, mask)


def _metrics(golden: Golden, found: Objective) -> Iterator[Comparison]:
    """What the emotion network reads in photo and rendering, reported beside the loss."""
    metrics = found.metrics
    distances = {name: metrics[f"{name}_distance"] for name in ("valence", "arousal", "expression")}
    for name, value in distances.items():
        yield from golden.check(f"metric_coarse_emonet_{name}_L1", value, SMALL)
    combined = found.terms["emotion"] + sum(distances.values())
    yield from golden.check("metric_coarse_emonet_combined", combined, TERM)
    for official, side in (("input", "photo"), ("output", "rendering")):
        for name in distances:
            yield from golden.check(f"metric_coarse_{name}_{official}", metrics[f"{name}_{side}"], TERM)
