"""Drawing inside a caller's own `jax.shard_map` over two devices: the pictures and gradients of one device."""

import os
import subprocess
import sys

import pytest

SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P
from emoca_jax import render
from tests.render.meshes import tangle

backend = {backend!r}
vertices, faces = (jnp.asarray(x) for x in tangle(0, 4, "plain"))
mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
weights = jnp.asarray(np.random.default_rng(1).uniform(size=(4, 24, 32)).astype(np.float32))


def both(vertices, weights):
    # Depths, and the smooth outline.
    seen = render.rasterize(vertices, faces, (24, 32), backend=backend)
    inside = (seen.face_index >= 0).astype(jnp.float32)[..., None]
    smooth = render.antialias(inside, seen, vertices, faces, backend=backend)[..., 0]
    return weights * jnp.where(jnp.isfinite(seen.depth), seen.depth, 0), weights * smooth


def slopes(vertices, weights):
    _, pull_back = jax.vjp(lambda own: jax.tree.map(jnp.sum, both(own, weights)), vertices)
    one, none = jnp.ones(()), jnp.zeros(())
    return jnp.stack([pull_back((one, none))[0], pull_back((none, one))[0]], axis=1)


parts = jax.shard_map(slopes, mesh=mesh, in_specs=(P("batch"), P("batch")), out_specs=P("batch"), check_vma=False)
alone, parted = jax.jit(slopes)(vertices, weights), jax.jit(parts)(vertices, weights)
assert len(parted.sharding.device_set) == 2
for what, one, other in zip(("depths", "outline"), np.moveaxis(parted, 1, 0), np.moveaxis(alone, 1, 0), strict=True):
    assert np.abs(other).max() > 0
    np.testing.assert_allclose(one, other, atol=1e-5 * float(np.abs(other).max()), err_msg=what)
"""


@pytest.mark.parametrize("backend", ["jax", pytest.param("native", marks=pytest.mark.slow)])
def test_a_callers_shards_are_drawn_as_they_are(backend):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    code = SHARDED.format(backend=backend)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
