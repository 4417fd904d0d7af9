"""The open head's place for wrinkles: the whole face, nothing beside it, and all of it is compared."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.flame import load_head
from emoca_jax.jobs.open_detail import face_mask, open_detail_model, span_of
from emoca_jax.losses.detail import FLAME_SPAN, LAYOUT_PIXELS, face_patch
from emoca_jax.texture.layout import texture_layout

SIZE = 128


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    return face_mask(jax.device_put(load_head("open")), size=SIZE)


def test_what_is_compared_holds_the_whole_open_face(mask: np.ndarray) -> None:
    model = open_detail_model(jax.device_put(load_head("open")), {}, size=SIZE)
    span = model.span
    assert span == span_of(mask)
    np.testing.assert_array_equal(model.mask, mask)
    # The smallest such place: each of its outermost rows and columns has some of the face.
    top, bottom, left, right = (pixel * SIZE // LAYOUT_PIXELS for pixel in span)
    inside = mask[top:bottom, left:right]
    assert np.count_nonzero(inside) == np.count_nonzero(mask)
    assert all(inside[edge].any() and inside[:, edge].any() for edge in (0, -1))
    # Enlarged, all of it is there: the mean over the patch is the sum over the texture.
    patch = np.asarray(face_patch(jnp.asarray(mask)[..., None], span=span))
    assert patch.mean() == pytest.approx(mask.sum() / inside.size, rel=2e-3)
    low, high = (pixel * SIZE // LAYOUT_PIXELS for pixel in FLAME_SPAN[:2])
    left_out = 1 - mask[low:high, low:high].sum() / mask.sum()
    assert 0.11 < left_out < 0.13, "FLAME's place for it would leave out much of the forehead and the chin"


def test_wrinkles_are_on_skin_alone_and_alike_on_both_sides(mask: np.ndarray) -> None:
    head = jax.device_put(load_head("open"))
    layout = texture_layout(head, size=SIZE)
    bare = ~np.asarray(layout.skin).astype(bool)
    beside = bare.copy()
    for axis in (0, 1):
        for by in (-1, 1):
            beside |= np.roll(bare, by, axis)
    assert not mask[beside].any()
    np.testing.assert_allclose(mask, mask[:, ::-1], atol=1e-5)
    # The middle of the face, of cheeks and forehead.
    assert mask[SIZE // 2, SIZE // 2] == 1 and (mask == 1).mean() > 0.2
