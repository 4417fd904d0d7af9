"""Unwrapping photos that were rendered from a known texture."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax import flame, render
from emoca_jax.codes import Codes
from emoca_jax.fit.light import ambient_light
from emoca_jax.model import decode
from emoca_jax.texture.layout import mirrored, texture_layout
from emoca_jax.texture.unwrap import unwrap

SIDE = 512
SIZE = 512
TURNED = 0.6
"""Yaw in radians that hides one cheek."""


@functools.cache
def open_head():
    head = flame.load_head("open")
    return head, texture_layout(head, size=SIZE)


def made_up_codes(head, yaw: float) -> Codes:
    points = np.array(flame.landmarks68_fixed(head, head.template))
    low, high = points.min(0), points.max(0)
    light = ambient_light().at[1].set(0.35).at[2].set(0.2).at[3].set(0.3)
    rng = np.random.default_rng(0)
    return Codes(
        shape=jnp.array(rng.normal(0, 0.7, head.shape_dirs.shape[-1]), jnp.float32),
        expression=jnp.zeros(head.expression_dirs.shape[-1]),
        pose=jnp.zeros((2, 3)).at[0, 1].set(yaw),
        jaw=jnp.zeros(3),
        eyes=jnp.zeros((2, 3)),
        camera=jnp.array([1.4 / np.ptp(points[:, 1]), *(-(low + high) / 2)[:2]], jnp.float32),
        light=light,
        albedo=jnp.zeros(head.albedo.basis.shape[-1]).at[0].set(1.0),
    )


def made_up_texture(head, layout, codes) -> np.ndarray:
    """The model's albedo with a pattern on it: smooth in three colours and a stripe that only one side has."""
    base = jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (SIZE, SIZE, 3), "linear")
    place = np.array(render.interpolate(layout.fragments, head.template, head.faces)) * 1000
    waves = np.stack(
        [np.sin(place[..., 1] / 4), np.sin(place[..., 1] / 7 + place[..., 2] / 5), np.cos(place[..., 0] / 6)], -1
    )
    stripe = (np.abs(place[..., 1] - place[..., 2] + 20) < 3) & (place[..., 0] > 20)
    pattern = (1 + 0.12 * waves) * np.where(stripe, 0.6, 1.0)[..., None]
    return np.clip(np.array(base) * pattern, 0, 1).astype(np.float32)


@functools.cache
def unwrapped(yaw: float):
    """Texture that went in, texture that came out, how visible it was."""
    head, layout = open_head()
    codes = made_up_codes(head, yaw)
    texture = made_up_texture(head, layout, codes)
    fine = _photo(head, codes, jnp.array(texture))
    photo = fine.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3))
    result = unwrap(head, layout, codes, _decoded(head, codes), photo)
    return texture, np.array(result.albedo), np.array(result.visible)


def _decoded(head, codes):
    return decode(head, codes, (SIDE, SIDE))


@jax.jit
def _photo(head, codes, texture):
    return decode(head, codes, (2 * SIDE, 2 * SIDE), texture).rendering


def decibels(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b)[where] ** 2)))


@pytest.mark.parametrize("yaw", [0.0, TURNED])
def test_what_was_seen_comes_back(yaw):
    head, layout = open_head()
    texture, got, visible = unwrapped(yaw)
    clear = (visible > 0.9) & (np.array(layout.skin) > 0)
    assert clear.sum() > 0.05 * (np.array(layout.skin) > 0).sum()
    assert decibels(texture, got, clear) > 35
    assert head.albedo is not None
    model = np.array(jax.image.resize(head.albedo.mean, (SIZE, SIZE, 3), "linear"))
    assert decibels(texture, got, clear) > decibels(texture, model, clear) + 10


def test_hidden_cheek_takes_the_other_ones_pattern():
    """Turned to one side, the far cheek gets the near one's waves, and its own stripe or none as the near one has."""
    head, layout = open_head()
    texture, got, visible = unwrapped(TURNED)
    seen_there = np.array(mirrored(layout, jnp.array(visible)[..., None]))[..., 0]
    hidden = (visible < 0.02) & (seen_there > 0.95) & (np.array(layout.face) > 0.99) & (np.array(layout.skin) > 0)
    assert hidden.sum() > 300
    model = np.array(flame.albedo_map(head.albedo, made_up_codes(head, TURNED).albedo))
    model = np.array(jax.image.resize(model, (SIZE, SIZE, 3), "linear"))
    other = np.array(mirrored(layout, jnp.array(texture)))
    pattern = [np.log((colours + 0.04) / (model + 0.04))[hidden].ravel() for colours in (got, other, texture)]
    from_other, from_own = np.corrcoef(pattern)[0, 1:]
    assert from_other > 0.6 and from_own < from_other - 0.1
    assert decibels(other, got, hidden) > 30


def test_nothing_seen_is_the_model_and_no_hole():
    head, layout = open_head()
    codes = made_up_codes(head, 0.0)
    aside = codes.replace(camera=codes.camera + jnp.array([0.0, 5.0, 0.0]))
    result = unwrap(head, layout, aside, _decoded(head, aside), jnp.ones((SIDE, SIDE, 3)))
    model = jax.image.resize(flame.albedo_map(head.albedo, codes.albedo), (SIZE, SIZE, 3), "linear")
    covered = np.array(layout.fragments.face_index) >= 0
    np.testing.assert_allclose(np.array(result.albedo)[covered], np.clip(model, 0, 1)[covered], atol=1e-3)
    assert (result.visible == 0).all() and bool(jnp.isfinite(result.albedo).all())
    # Off the charts the nearest texel goes on.
    # The throat's is nearly black.
    assert (np.array(result.albedo)[~covered].max(-1) > 0.02).mean() > 0.9


def test_mirror_is_symmetric():
    head, layout = open_head()
    place = render.interpolate(layout.fragments, head.template, head.faces)
    covered = np.array(layout.fragments.face_index) >= 0
    error = np.linalg.norm(np.array(mirrored(layout, place) * jnp.array([[[-1.0, 1, 1]]]) - place), axis=-1)[covered]
    assert np.quantile(error, 0.95) < 1e-3
    np.testing.assert_allclose(np.array(layout.mirror_weight)[covered].sum(-1), 1, atol=1e-5)
