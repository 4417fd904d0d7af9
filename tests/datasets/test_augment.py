"""Augmentation against what is independent of it: Pillow's JPEG, SciPy's blur, mirrors, and what must not change."""

from __future__ import annotations

import functools
from io import BytesIO
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from data_pipelines import augment
from data_pipelines.augment import Amounts
from data_pipelines.open_faces.crops import as_seen, drawn_crop
from emoca_jax.emotion.units import mirror_pairs
from emoca_jax.flame import load_head
from emoca_jax.nets.emotion.crop import ExpressionCrop

SIDE = 64
STILL = Amounts(*[0.0] * len(Amounts()))


@pytest.fixture(scope="module")
def pictures() -> jax.Array:
    """Eight smooth pictures with a little grain, so that JPEG and blur have something to take."""
    draw = np.random.default_rng(0)
    rough = draw.uniform(size=(8, SIDE, SIDE, 3))
    smooth = gaussian_filter1d(gaussian_filter1d(rough, 3, axis=1), 3, axis=2)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return jnp.asarray((0.8 * smooth + 0.1 + 0.05 * (rough - 0.5)).astype(np.float32))


@pytest.mark.parametrize("quality", [25, 60, 90])
def test_jpeg_like_is_as_far_from_the_picture_as_pillows_jpeg_and_near_it(pictures: jax.Array, quality: int) -> None:
    bytes_in = np.round(np.asarray(pictures) * 255).astype(np.uint8)
    start = jnp.asarray(bytes_in.astype(np.float32) / 255)
    ours = np.asarray(augment.jpeg_like(start, jnp.full(8, float(quality))))
    theirs = np.stack([through_pillow(picture, quality) for picture in bytes_in]) / 255
    lost = np.abs(theirs - np.asarray(start)).mean()
    assert np.abs(ours - theirs).mean() < 0.15 * lost + 0.6 / 255  # both round to bytes, Pillow twice
    np.testing.assert_allclose(np.abs(ours - np.asarray(start)).mean(), lost, rtol=0.1)


def through_pillow(picture: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file)).astype(np.float64)


def test_blurs_are_scipys_away_from_the_edge() -> None:
    line = np.random.default_rng(1).uniform(size=augment.BLURRED_FROM)
    for matrix, deviation in zip(augment.softening(augment.BLURRED_FROM), augment.BLURS, strict=False):
        expected = gaussian_filter1d(line, deviation, truncate=8) if deviation else line
        np.testing.assert_allclose((matrix @ line)[15:-15], expected[15:-15], atol=1e-4)


def test_softening_keeps_what_is_even_and_loses_detail() -> None:
    bank = augment.softening(SIDE)
    np.testing.assert_allclose(bank.sum(axis=2), 1, atol=1e-5)
    stripes = np.tile([0.0, 1.0], SIDE // 2)
    contrast = [float(np.ptp((matrix @ stripes)[8:-8])) for matrix in bank]
    assert contrast[0] == pytest.approx(1)
    assert all(a >= b for a, b in pairwise(contrast[: len(augment.BLURS)]))
    assert max(contrast[len(augment.BLURS) :]) < 0.7


def test_mirrored_units_are_those_of_the_other_side() -> None:
    names = load_head("open").expression_names
    pairs = mirror_pairs(names)
    np.testing.assert_array_equal(pairs[pairs], np.arange(len(names)))
    assert names[pairs[names.index("eyeBlinkLeft")]] == "eyeBlinkRight"
    assert names[pairs[names.index("jawLeft")]] == "jawRight"
    assert names[pairs[names.index("jawOpen")]] == "jawOpen"


def test_pictures_and_units_are_mirrored_together(pictures: jax.Array) -> None:
    names = ("cheekPuff", "eyeBlinkLeft", "eyeBlinkRight")
    units = jnp.arange(24.0).reshape(8, 3)
    seen, exchanged = augment.mirrored(jax.random.key(0), pictures, units, mirror_pairs(names))
    turned = np.array([bool((a == b[:, ::-1]).all()) for a, b in zip(seen, pictures, strict=True)])
    assert 0 < turned.sum() < 8
    np.testing.assert_array_equal(seen[~turned], pictures[~turned])
    np.testing.assert_array_equal(exchanged[turned], units[turned][:, jnp.array([0, 2, 1])])
    np.testing.assert_array_equal(exchanged[~turned], units[~turned])


@pytest.mark.thorough
def test_changes_of_no_strength_change_nothing(pictures: jax.Array) -> None:
    # Saturation alone has no amount of its own: it changes colours, but no grey.
    grey = jnp.broadcast_to(pictures.mean(axis=-1, keepdims=True), pictures.shape)
    np.testing.assert_allclose(augment.changed(jax.random.key(0), grey, STILL), grey, atol=1e-5)


@pytest.mark.thorough
def test_changes_stay_in_range_and_depend_on_the_key_alone(pictures: jax.Array) -> None:
    change = jax.jit(functools.partial(augment.changed, amounts=Amounts()))
    first, again, other = (np.asarray(change(jax.random.key(seed), pictures)) for seed in (1, 1, 2))
    assert first.min() >= 0
    assert first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02
    # Every picture is changed by itself: of equal ones none comes out like another.
    equal = np.asarray(change(jax.random.key(1), jnp.broadcast_to(pictures[:1], pictures.shape)))
    assert all(np.abs(equal[i] - equal[j]).mean() > 1e-3 for i in range(8) for j in range(i))


def test_erasing_covers_the_share_and_the_size_that_it_says() -> None:
    white = jnp.ones((512, 32, 32, 3))
    left = np.asarray(augment.erased(jax.random.key(0), white, STILL._replace(erased=0.5)))
    covered = np.any(left != 1, axis=-1)
    touched = covered.any(axis=(1, 2))
    assert 0.42 < touched.mean() < 0.58
    # Sides of 0.1 to 0.4, some cut off by the picture's edge: a quarter squared at most, on average less.
    assert 0.03 < covered[touched].mean() < 0.0625


def test_jitter_is_as_wide_as_it_says() -> None:
    many = 4096
    crop = ExpressionCrop(jnp.zeros((many, 2)), jnp.full((many,), 0.5), jnp.zeros((many,)))
    moved = augment.jittered(jax.random.key(0), crop, STILL._replace(turn=0.1, zoom=0.2, shift=0.05))
    np.testing.assert_allclose(np.std(moved.rotation), 0.1, rtol=0.05)
    np.testing.assert_allclose(np.std(np.log(np.asarray(moved.half) / 0.5)), 0.2, rtol=0.05)
    np.testing.assert_allclose(np.std(np.asarray(moved.centre), axis=0), 0.05, rtol=0.05)


@pytest.mark.thorough
def test_drawn_faces_are_cut_where_their_landmarks_are() -> None:
    """A picture that is white around the landmarks and stored larger than the square that the loader makes of it."""
    draw = np.random.default_rng(2)
    points = np.concatenate([draw.uniform(40, 80, size=(2, 478, 2)), np.zeros((2, 478, 1))], axis=-1).astype(np.float32)
    place = np.array([[20.0, 20.0, 0.5], [20.0, 20.0, 0.5]], np.float32)  # pixels 20 .. 148 as 64
    crop = drawn_crop(jnp.asarray(points), jnp.asarray(place), side=SIDE)
    # The middle of 40 .. 80 lies at (60.5 - 20) / 2 = 20.25 of 64, within what the crop's downward shift allows.
    np.testing.assert_allclose(crop.centre[:, 0], 2 * 20.25 / SIDE - 1, atol=0.1)
    image = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    image[:, 8:33, 8:33] = 255
    seen = as_seen({"image": jnp.asarray(image), "points": jnp.asarray(points), "place": jnp.asarray(place)}, size=32)
    assert float(seen["images"][:, 14:18, 14:18].mean()) > 0.99
