"""Landmark, photometric, regularising and detail losses, values and gradients."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from emoca_jax.losses import detail, landmarks, mediapipe, photometric, regularizers
from emoca_jax.nets.encoders import IMAGE_SIZE
from parity.assets import Assets
from parity.golden import EXACT, Comparison, Golden, Tolerance
from parity.layout import enlarged

RELATIVE = Tolerance(relative=1e-6)
CODE_WEIGHT, LIGHT_WEIGHT, DETAIL_WEIGHT = 1e-4, 12.0, 0.005
"""With which the reference stores them (spec, table of training stages)."""
PHOTO_SIZE, UV_SIZE = IMAGE_SIZE, 256
FACE_REGIONS = [[400, 1648, 400, 1648], [550, 1498, 430, 750], [490, 1558, 700, 1100], [574, 1474, 1050, 1550]]
"""Rows of the official table of uv patches in 2048 pixels; only the first has a weight."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from _landmarks(golden)
    yield from _mediapipe(assets, golden)
    yield from _photometric(golden)
    yield from _codes(golden)
    yield from _detail(golden)


def _value_and_gradient(golden: Golden, name: str, loss, predicted, *rest) -> Iterator[Comparison]:
    value, gradient = jax.value_and_grad(loss)(predicted, *rest)
    yield from golden.check(name, value, RELATIVE)
    yield from golden.check(f"{name}_grad", gradient, RELATIVE)


def _landmarks(golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("lmk_pred", "lmk_gt", "lmk_gt_with_visibility")
    predicted, target, seen = (jnp.asarray(golden[name]) for name in ("lmk_pred", "lmk_gt", "lmk_gt_with_visibility"))
    weights = landmarks.landmark_weights()
    # Their function multiplies the caller's visibility by the weights in place; ours leaves it and returns the product.
    weighted = seen.at[..., 2].multiply(weights)
    yield from golden.check("lmk_gt_with_visibility_AFTER_call_inplace", weighted, RELATIVE)
    distance = landmarks.landmark_distance

    def weighted_distance(predicted: Array, target: Array, weights: Array) -> Array:
        return distance(predicted, target, weights=weights)

    for name, loss, rest in (
        ("landmark", distance, (target,)),
        ("weighted_landmark", weighted_distance, (target, weights)),
        ("weighted_landmark_vis", weighted_distance, (seen, weighted[..., 2])),
        ("eyed", landmarks.eye_distance, (target,)),
        ("lipd", landmarks.lip_distance, (target,)),
        ("mouth_corner", landmarks.mouth_corner_distance, (target,)),
    ):
        yield from _value_and_gradient(golden, name, loss, predicted, *rest)


def _mediapipe(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("mp_pred", "mp_gt")
    predicted, target = jnp.asarray(golden["mp_pred"]), jnp.asarray(golden["mp_gt"])
    index = np.asarray(assets.head.mediapipe_index)
    place = {int(number): row for row, number in enumerate(index)}

    def rows(points) -> np.ndarray:
        return np.array([place[point] for point in points])

    upper, lower = zip(*mediapipe.OFFICIAL_EYELID_PAIRS, strict=True)
    half = len(mediapipe.UPPER_LIPS) // 2
    (right_in, left_in), (right_out, left_out) = mediapipe.MOUTH_CORNER_PAIRS
    for name, found in (
        ("EMBEDDING_INDICES", index),
        ("UPPER_EYELIDS", upper),
        ("LOWER_EYELIDS", lower),
        ("UPPER_EYELIDS_EM", rows(upper)),
        ("LOWER_EYELIDS_EM", rows(lower)),
        ("UPPER_OUTTER_LIP_LINE_EM", rows(mediapipe.UPPER_LIPS[:half])),
        ("LOWER_OUTTER_LIP_LINE_EM", rows(mediapipe.LOWER_LIPS[:half])),
        ("UPPER_INNER_LIP_LINE_EM", rows(mediapipe.UPPER_LIPS[half:])),
        ("LOWER_INNER_LIP_LINE_EM", rows(mediapipe.LOWER_LIPS[half:])),
        ("RIGHT_INNER_LIP_CORNER_EM", rows([right_in])),
        ("LEFT_INNER_LIP_CORNER_EM", rows([left_in])),
        ("RIGHT_OUTTER_LIP_CORNER_EM", rows([right_out])),
        ("LEFT_OUTTER_LIP_CORNER_EM", rows([left_out])),
    ):
        yield from golden.check(f"mp_{name}", found, EXACT)

    def official_eyes(predicted, target, index):
        return mediapipe.mediapipe_eye_distance(predicted, target, index, official=True)

    for name, loss in (
        ("landmark", mediapipe.mediapipe_landmark_distance),
        ("eyed", official_eyes),
        ("lipd", mediapipe.mediapipe_lip_distance),
        ("mouth_corner", mediapipe.mediapipe_mouth_corner_distance),
    ):
        yield from _value_and_gradient(golden, f"mp_{name}", loss, predicted, target, jnp.asarray(index))


def _photometric(golden: Golden) -> Iterator[Comparison]:
    names = ("photo_lowres_a", "photo_lowres_b", "photo_lowres_m")
    yield from golden.inputs(*names)
    rendering, image, mask = (enlarged(golden[name], PHOTO_SIZE) for name in names)
    mask = (mask[..., 0] > 0.5).astype(jnp.float32)
    area_weights: dict[str, photometric.AreaWeight] = {
        "masked_mean": "none",
        "rel_mask_value": "covered",
        "neg_rel_mask_value": "uncovered",
        "inv_rel_mask_value": "inverse",
        "abs_mask_value": "pixels",
    }
    for name, area_weight in area_weights.items():
        found = photometric.photometric_distance(rendering, image, mask, area_weight=area_weight)
        yield from golden.check(f"photometric_{name}", found, RELATIVE)


def _codes(golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("reg_shapecode", "reg_expcode", "reg_texcode", "reg_lightcode")
    for name, code in (("shape_reg", "shape"), ("expression_reg", "exp"), ("tex_reg", "tex")):
        found = CODE_WEIGHT * regularizers.code_energy(jnp.asarray(golden[f"reg_{code}code"]))
        yield from golden.check(name, found, RELATIVE)
    light = jnp.asarray(golden["reg_lightcode"])
    yield from golden.check("light_reg", LIGHT_WEIGHT * regularizers.light_colour(light), RELATIVE)


def _detail(golden: Golden) -> Iterator[Comparison]:
    names = ("detail_lowres_z", "detail_lowres_shading", "detail_lowres_vis")
    yield from golden.inputs(*names)
    displacement, shading, visible = (enlarged(golden[name], UV_SIZE) for name in names)
    displacement, visible = displacement[..., 0], (visible[..., 0] > 0.45).astype(jnp.float32)
    roughness = detail.shading_roughness(shading)
    kept = detail.eroded(visible)
    yield from golden.check("z_reg", DETAIL_WEIGHT * detail.displacement_size(displacement), RELATIVE)
    yield from golden.check("shading_smooth_loss_raw", roughness, RELATIVE)
    yield from golden.check("z_diff", DETAIL_WEIGHT * roughness, RELATIVE)
    yield from golden.check("z_sym", DETAIL_WEIGHT * detail.hidden_asymmetry(displacement, visible), RELATIVE)
    yield from golden.check("vis_eroded_mean", kept.mean(), RELATIVE)
    yield from golden.check("vis_eroded", kept[:, None], EXACT)
    regions = np.array(FACE_REGIONS) * UV_SIZE // detail.LAYOUT_PIXELS
    regions[0] = [s * UV_SIZE // detail.LAYOUT_PIXELS for s in detail.FLAME_SPAN]
    yield from golden.check("face_attr_mask", regions, EXACT)
