"""What the comparisons of the decoder share: codes out of the files, and the detail stage."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel, detail_model
from emoca_jax.nets.encoders import IMAGE_SIZE
from parity.assets import Assets
from parity.golden import Golden, Tolerance

SIZE = (IMAGE_SIZE, IMAGE_SIZE)
FLIPPED = 0.0005
"""Part of the pixels that may differ: a face flips at a shared edge (reference README)."""
METRES = Tolerance(absolute=1e-6)
PIXEL = Tolerance(absolute=1e-4, outliers=FLIPPED)
MASK = Tolerance(outliers=FLIPPED)
TEXEL_NORMAL = Tolerance(absolute=1e-4, outliers=0.002, farthest=0.05)
"""Cells of the uv grid can be far smaller than a millimetre: float32 positions then leave three digits of a normal."""
OFFICIAL_NAMES = {
    "shape": "shape",
    "exp": "expression",
    "cam": "camera",
    "light": "light",
    "tex": "albedo",
    "detail": "detail",
}
PREFIX = "code_"


def variant_of(golden: Golden) -> str:
    """Files whose names end in _v2 are the jaw variant's."""
    return "emoca_jaw" if golden.name.endswith("_v2") else "emoca"


def official_names(golden: Golden) -> list[str]:
    """Names of the stored codes."""
    return [name for name in golden.stored if name.startswith(PREFIX)]


def codes_of(arrays: dict[str, jnp.ndarray]) -> Codes:
    """Codes from arrays under the official names, with "code" behind them or not; pose is global and jaw."""
    named = {name.removesuffix("code"): array for name, array in arrays.items()}
    pose = named.pop("pose")
    rest = jnp.zeros_like(pose[..., :3])
    return Codes(
        pose=jnp.stack([pose[..., :3], rest], axis=-2),
        jaw=pose[..., 3:],
        eyes=jnp.stack([rest, rest], axis=-2),
        **{OFFICIAL_NAMES[name]: array for name, array in named.items()},
    )


def stored_codes(golden: Golden) -> Codes:
    """Codes that the file was computed from."""
    return codes_of({name.removeprefix(PREFIX): jnp.asarray(golden[name]) for name in official_names(golden)})


def photos(assets: Assets, golden: Golden) -> jnp.ndarray:
    """The images that the codes belong to."""
    return assets.images[np.asarray(golden["image_index"])]


def official_detail(assets: Assets, variant: str) -> DetailModel:
    """The detail stage by the reference's rules."""
    model = assets.model(variant)
    return detail_model(
        model.head,
        model.variables("detail_decoder"),
        model.maps["face_eye_mask"],
        model.maps["fixed_displacement"],
        blend=variant == "deca",
        official=True,
    )
