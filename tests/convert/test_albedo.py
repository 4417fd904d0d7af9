"""Albedo models against what torch makes of them."""

import numpy as np
import pytest

from emoca_jax.convert.readers import albedo
from emoca_jax.errors import InputError


@pytest.mark.parametrize("side", [512, 300])
def test_albedo_is_shrunk_as_torch_does(side):
    """300 does not divide: nearest neighbour in torch takes row floor(i * 300 / 256)."""
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(2)
    mean, basis = draw.uniform(0, 255, (side, side, 3)), draw.normal(0, 9, (side, side, 3, 51)).astype(np.float32)
    found = albedo.flame_texture({"mean": mean, "tex_dir": basis, "vt": 0}, "x").arrays
    shrunk = torch.nn.functional.interpolate(torch.from_numpy(mean / 255).float().permute(2, 0, 1)[None], (256, 256))
    np.testing.assert_array_equal(found["mean"], shrunk[0].permute(1, 2, 0).flip(-1).numpy())
    one = torch.nn.functional.interpolate(torch.from_numpy(basis[..., 49] / 255).permute(2, 0, 1)[None], (256, 256))
    np.testing.assert_array_equal(found["basis"][..., 49], one[0].permute(1, 2, 0).flip(-1).numpy())
    assert found["basis"].shape == (256, 256, 3, 50)
    with pytest.raises(InputError, match=r"'PC' has shape \(300, 300, 3, 49\)"):
        albedo.bfm_albedo({"MU": np.zeros((300, 300, 3)), "PC": np.zeros((300, 300, 3, 49))}, "x")


def test_a_checkpoints_albedo_is_the_files():
    draw = np.random.default_rng(4)
    mean, basis = draw.uniform(0, 1, (512, 512, 3)), draw.normal(0, 1, (512, 512, 3, 52)).astype(np.float32)
    flat = {"texture_mean": mean.reshape(1, 1, -1), "texture_basis": basis[..., :50].reshape(1, -1, 50)}
    state = {f"deca.flametex.{key}": value for key, value in flat.items()}
    copy = albedo.checkpoint_albedo(state, "albedo_bfm", "x")
    file = albedo.bfm_albedo({"MU": mean, "PC": basis}, "x")
    assert all(np.array_equal(copy.arrays[name], file.arrays[name]) for name in ("mean", "basis"))
    assert [row.source for row in copy.rows] == list(state)
