"""Plain DECA whose jaw angles are Euler angles."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from emoca_jax.flame.rotations import axis_angle_from_euler
from parity.assets import Assets
from parity.decoding import PREFIX
from parity.encoders import named_codes
from parity.golden import Comparison, Golden
from parity.noise import within_noise


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("image_index")
    rows = np.asarray(golden["image_index"])
    codes = assets.codes("deca")
    yield from golden.check(f"{PREFIX}euler_jaw_pose", codes.jaw[rows], within_noise("E_flame"))
    turned = codes.replace(jaw=axis_angle_from_euler(codes.jaw))
    for name, found in named_codes(turned).items():
        network = "E_detail" if name == "detailcode" else "E_flame"
        stored = f"{PREFIX}{name.removesuffix('code')}"
        yield from golden.check(stored, jnp.asarray(found)[rows], within_noise(network))
