"""Where the photo's detail ends: it must not show."""

import jax.numpy as jnp
import numpy as np

from emoca_jax import render
from emoca_jax.texture.unwrap import Observed, completed
from tests.texture.test_unwrap import SIZE, open_head, open_surface


def test_detail_wanes_towards_where_nothing_was_seen():
    """Pores over the middle of a face of which both sides are covered: paler two millimetres from there, in both."""
    head, layout = open_head()
    x = np.abs(np.array(render.interpolate(layout.fragments, head.template, head.faces))[..., 0])
    bare = (np.array(layout.skin) > 0) & (np.array(layout.face) > 0.9) & (np.array(layout.features) == 0)
    edge = 0.04
    sight = (np.array(layout.skin) * (np.array(layout.face) > 0.3) * (x < edge)).astype(np.float32)
    pores = np.random.default_rng(0).choice(np.float32([-0.01, 0.01]), (SIZE, SIZE, 1))
    flat = np.ones((SIZE, SIZE, 3), np.float32)
    seen = Observed(
        ratio=jnp.asarray(pores * flat),
        model=jnp.asarray(flat / 2),
        sight=jnp.asarray(sight),
        shading=jnp.asarray(flat),
        place=jnp.zeros((SIZE, SIZE, 2)),
        inner=jnp.zeros((SIZE, SIZE, 3)),
        eyes_seen=jnp.zeros((SIZE, SIZE)),
        colour=jnp.ones(()),
    )
    got = completed(layout, open_surface(), seen)
    near, deep = (bare & (x > edge - far) & (x < edge - close) for far, close in ((0.003, 0.0005), (0.025, 0.02)))
    assert near.sum() > 200 and deep.sum() > 200 and got.visible[near].mean() > 0.8
    for colour, most in ((got.albedo, 0.35), (got.lit, 0.65)):
        assert np.log(colour[near]).std() < most * np.log(colour[deep]).std()
