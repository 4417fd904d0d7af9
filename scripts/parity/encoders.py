"""EMOCA's three encoders (first version: the jaw stays E_flame's), layer by layer, and the detail decoder."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.codes import Codes
from emoca_jax.nets.detail_decoder import DetailDecoder
from emoca_jax.nets.encoders import Encoder, FlameCodes, split_flame
from emoca_jax.nets.resnet import STAGES
from parity.assets import Assets
from parity.golden import Comparison, Golden
from parity.layout import to_first
from parity.noise import NETWORK, within_noise

PARTS = {"E_flame": "flame_encoder", "E_expression": "expression_encoder", "E_detail": "detail_encoder"}
LAYER_CHANNELS, LAYER_PIXELS = 16, 7
"""Steps of the stored subset of a stage's result."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    model = assets.model("emoca")
    for name, part in PARTS.items():
        yield from _layers(golden, name, model.variables(part), assets.images)
    yield from emoca_codes(golden, assets, "emoca")
    latent = golden["D_detail_input"]
    codes = assets.codes("emoca")
    assert codes.detail is not None
    ours = jnp.concatenate([codes.jaw, codes.expression, codes.detail], axis=-1)
    yield from golden.check("D_detail_input", ours, within_noise("E_expression"))
    found = displacement(model.variables("detail_decoder"), latent)
    yield from golden.check("D_detail_uv_z_0", found[:1], within_noise("uv_z"))
    yield from golden.check("D_detail_uv_z", found[:, None], within_noise("uv_z"))


def displacement(variables: dict, latent: np.ndarray | jnp.ndarray) -> np.ndarray:
    """The detail decoder's answer, metres [B, 256, 256]."""
    return np.asarray(jax.jit(DetailDecoder().apply)(variables, jnp.asarray(latent)))


def encoder_output(variables: dict, images: jnp.ndarray) -> jnp.ndarray:
    """An encoder's numbers [B, outputs]."""
    return jax.jit(Encoder(_outputs(variables)).apply)(variables, images)


def _outputs(variables: dict) -> int:
    return variables["params"]["head"]["bias"].shape[-1]


def _layers(golden: Golden, name: str, variables: dict, images: jnp.ndarray) -> Iterator[Comparison]:
    shown = {f"layer{stage}": f"layer{stage}_{blocks - 1}" for stage, (_, blocks) in enumerate(STAGES, start=1)}

    @jax.jit
    def run(variables, images):
        network = Encoder(_outputs(variables))
        wanted = {"trunk", *shown.values()}
        output, kept = network.apply(
            variables, images, capture_intermediates=lambda module, method: module.name in wanted
        )
        trunk = kept["intermediates"]["trunk"]
        return output, trunk["__call__"][0], {layer: trunk[block]["__call__"][0] for layer, block in shown.items()}

    output, pooled, layers = run(variables, images)
    yield from golden.check(name, output, within_noise(name))
    yield from golden.check(f"{name}_pooled", pooled, within_noise(f"{name}_pooled"))
    for layer, found in layers.items():
        part = to_first(found)[:, ::LAYER_CHANNELS, ::LAYER_PIXELS, ::LAYER_PIXELS]
        yield from golden.check(f"{name}_{layer}_sub", part, NETWORK)


def emoca_codes(golden: Golden, assets: Assets, variant: str) -> Iterator[Comparison]:
    """`DecaModule.encode`: codes with E_expression's part in place, and E_flame's own that it replaced."""
    for name, found in named_codes(assets.codes(variant)).items():
        network = {"expcode": "E_expression", "detailcode": "E_detail"}.get(name, "E_flame")
        yield from golden.check(f"emoca_{name}", found, within_noise(network))
    original = split_flame(encoder_output(assets.model(variant).variables("flame_encoder"), assets.images))
    for name, found in named_codes(original).items():
        stored = f"emoca_original_{name.removesuffix('code')}"
        if stored in golden:
            yield from golden.check(stored, found, within_noise("E_flame"))


def named_codes(codes: Codes | FlameCodes) -> dict[str, jnp.ndarray]:
    """Our codes by the official names; pose is (global, jaw)."""
    names = {
        "shapecode": codes.shape,
        "texcode": codes.albedo,
        "expcode": codes.expression,
        "posecode": jnp.concatenate([codes.pose[..., 0, :], codes.jaw], axis=-1),
        "cam": codes.camera,
        "lightcode": codes.light,
    }
    detail = getattr(codes, "detail", None)
    return names if detail is None else {**names, "detailcode": detail}
