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


def hard(vertices, weights):
    seen = render.rasterize(vertices, faces, (24, 32), backend=backend)
    return weights * jnp.where(jnp.isfinite(seen.depth), seen.depth, 0)


def smooth(vertices, weights):
    seen = render.rasterize(vertices, faces, (24, 32), backend=backend)
    inside = (seen.face_index >= 0).astype(jnp.float32)[..., None]
    return weights * render.antialias(inside, seen, vertices, faces, backend=backend)[..., 0]


for draw in (hard, smooth):
    def slopes(vertices, weights):
        return jax.grad(lambda own: jnp.sum(draw(own, weights)))(vertices)

    parts = jax.shard_map(slopes, mesh=mesh, in_specs=(P("batch"), P("batch")), out_specs=P("batch"), check_vma=False)
    alone, parted = jax.jit(slopes)(vertices, weights), jax.jit(parts)(vertices, weights)
    assert len(parted.sharding.device_set) == 2 and np.abs(alone).max() > 0
    np.testing.assert_allclose(parted, alone, atol=1e-5 * float(np.abs(alone).max()), err_msg=draw.__name__)
"""


@pytest.mark.parametrize("backend", ["jax", pytest.param("native", marks=pytest.mark.slow)])
def test_a_callers_shards_are_drawn_as_they_are(backend):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    code = SHARDED.format(backend=backend)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
