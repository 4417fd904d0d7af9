"""Which texels of a flat piece of skin were seen, by its depth and by a mask of the person."""

import jax.numpy as jnp
import numpy as np

from emoca_jax.texture.sight import FEATHER, camera_sight

SIDE, SIZE, PIXELS = 200, 256, 172
across = np.linspace(-0.95, 0.95, SIZE).astype(np.float32)
PLACE = np.stack([*np.meshgrid(across, across), np.zeros((SIZE, SIZE), np.float32)], axis=-1)
FADE = 2 * FEATHER * 1.9 / SIZE


def sight_across(edge: float, person: np.ndarray | None) -> np.ndarray:
    """Along a row of a half plane before nothing, which begins at `edge`."""
    depth = np.zeros((SIDE, SIDE), np.float32)
    depth[:, : round((edge + 1) / 2 * SIDE)] = np.inf
    ones = jnp.ones((SIZE, SIZE))
    mask = None if person is None else jnp.asarray(person, jnp.float32)
    return np.array(camera_sight(jnp.asarray(depth), jnp.asarray(PLACE), ones, ones, mask))[SIZE // 2]


def person_from(edge: float) -> np.ndarray:
    """A mask: whoever is right of `edge`."""
    return np.tile(np.arange(PIXELS) >= round((edge + 1) / 2 * PIXELS), (PIXELS, 1))


def test_beside_the_outline_nothing_is_seen():
    """What lies within 4 % of the picture of its edge is not trusted, the rest is."""
    sight, border = sight_across(-0.25, None), -0.25 + 2 * 0.04
    assert not sight[across < border - 2 / SIDE].any()
    inside = (border + FADE < across) & (across < 0.95 - FADE)
    np.testing.assert_array_equal(sight[inside], 1.0)


def test_where_a_mask_tells_the_person_skin_is_seen_nearer_to_the_outline_and_no_background():
    person_edge = 0.1
    sight = sight_across(-0.25, person_from(person_edge))
    # Two pixels of the mask, and as it is looked up between their centres half a one.
    border, pixel = person_edge + 2 * 2 / PIXELS, 2 / PIXELS
    assert not sight[across < border - pixel].any()
    inside = (border + pixel < across) & (across < 0.95 - FADE)
    np.testing.assert_allclose(sight[inside], 1.0)
    all_person = sight_across(-0.25, np.ones((PIXELS, PIXELS)))
    seen = (across > -0.25 + 2 * 0.01 + FADE + 2 / SIDE) & (across < 0.95 - FADE)
    np.testing.assert_allclose(all_person[seen], 1.0)


def test_a_mask_without_the_face_is_not_believed():
    np.testing.assert_array_equal(sight_across(-0.25, person_from(0.5)), sight_across(-0.25, None))


def test_who_is_a_person_with_a_doubt_is_half_trusted():
    """A stripe of .7, between .5, which tells nothing, and .9, which is enough."""
    mask = np.ones((PIXELS, PIXELS))
    mask[:, 100:130] = 0.7
    sight = sight_across(-0.25, mask)
    stripe = (across > 2 * 103 / PIXELS - 1) & (across < 2 * 127 / PIXELS - 1)
    np.testing.assert_allclose(sight[stripe], 0.5, atol=1e-5)
