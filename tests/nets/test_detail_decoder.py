"""D_detail against the official code on the reference's made-up weights; its enlargement against torch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.convert.readers.networks import detail_decoder
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.detail_decoder import INNER_EPSILON, LARGEST, DetailDecoder, double
from tests import reference_weights
from tests.nets.closeness import ALLOWED, assert_close, noise_floor


@pytest.mark.parametrize("folded", [False, True], ids=["norms", "folded"])
def test_gives_the_official_displacement(folded):
    expected = reference_weights.golden("encoders")
    translated = detail_decoder(reference_weights.detail_decoder())
    assert {row.note for row in translated.rows if row.target is None} == {"count of training batches"}
    variables = translated.variables
    if folded:
        variables = fold_batch_norms(variables, epsilon=INNER_EPSILON)
    displacement = jax.jit(DetailDecoder(folded=folded).apply)(variables, expected["D_detail_input"])
    tolerance = ALLOWED * noise_floor("uv_z")
    assert_close(displacement[0], expected["D_detail_uv_z_0"][0], tolerance)
    assert_close(displacement[:, None, ::8, ::8], expected["D_detail_uv_z__s8"], tolerance)
    squares = np.sum(np.asarray(displacement, np.float64) ** 2)
    np.testing.assert_allclose(squares, expected["D_detail_uv_z__stat"][4], rtol=1e-6)
    assert 0.05 * LARGEST < np.abs(displacement).max() < LARGEST


@pytest.mark.parametrize("size", [1, 2, 7])
def test_enlarges_as_torch_does(size):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, size, size + 1, 3)).astype(np.float32)
    theirs = torch.nn.Upsample(scale_factor=2, mode="bilinear")(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(double(jnp.asarray(x)), theirs.numpy().transpose(0, 2, 3, 1), atol=1e-6)
