"""The detail stage's whole loss: every term, and the gradient of their sum to the codes that it trains."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from emoca_jax.detail import predict_displacement, unwrap_image, uv_visibility
from emoca_jax.losses import detail, mrf, photometric
from emoca_jax.model import decode, sample
from emoca_jax.nets.vgg import VGG19
from parity.assets import Assets
from parity.decoding import PREFIX, SIZE, codes_of, official_detail, official_layers, official_names, photos
from parity.golden import Comparison, Golden, Tolerance

WEIGHTS = {"detail_l1_0": 5.0, "detail_mrf_0": 5.0 * 0.05, "z_reg": 0.005, "z_diff": 0.005, "z_sym": 0.005}
"""`sfsw` of the first patch, `mrfwr`, `zregw`, `zdiffw`, `zsymw` of the made-up run's configuration."""
PHOTOMETRIC_WEIGHT = 2.0
TRAINED = ("expcode", "posecode", "detailcode")
TERM, MRF = Tolerance(relative=1e-4), Tolerance(relative=1e-3)
CODE_GRADIENT = Tolerance(relative=2e-3)
"""As in the coarse stage."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    names = official_names(golden)
    yield from golden.inputs("image_index", "mask", "lmk", "lmk_mp", "note", *names)
    arrays = {name.removeprefix(PREFIX): jnp.asarray(golden[name]) for name in names}
    trained = {name: arrays.pop(name) for name in TRAINED}
    stage, images = official_detail(assets, "emoca"), photos(assets, golden)
    truth = jnp.asarray(golden["mask"], jnp.float32)

    def loss(trained, given, head, stage, vgg):
        codes = codes_of({**given, **trained})
        found = decode(head, codes, SIZE, detail=stage, official=True)
        layers = official_layers(head, found.vertices, codes.camera, found.albedo, codes.light)
        displacement = predict_displacement(stage, codes)
        photo = unwrap_image(stage, found.image_vertices, head.faces, jnp.concatenate([images, truth[..., None]], -1))
        turned = uv_visibility(stage, layers.image_normals, head.faces)
        visible = lax.stop_gradient(photo[..., 3] * turned * stage.mask)
        pictures = detail.visible_patches(found.detail.texture, lax.stop_gradient(photo[..., :3]), visible)
        maps = [VGG19().apply(vgg, picture)._asdict() for picture in pictures]
        raw = {
            "detail_l1_0": jnp.mean(jnp.abs(pictures[0] - pictures[1])),
            "detail_mrf_0": mrf.id_mrf(*maps),
            "z_reg": detail.displacement_size(displacement),
            "z_diff": detail.shading_roughness(found.detail.shading),
            "z_sym": detail.hidden_asymmetry(displacement, visible),
        }
        terms = {name: weight * raw[name] for name, weight in WEIGHTS.items()}
        drawn = sample(found.detail.texture, layers.surface, official=True)
        whole = drawn * truth[..., None] + images * (1 - truth[..., None])
        seen = photometric.photometric_distance(whole, images, truth)
        return sum(terms.values()), (terms, PHOTOMETRIC_WEIGHT * seen)

    gradients, (terms, seen) = jax.jit(jax.grad(loss, has_aux=True))(
        trained, arrays, assets.model("emoca").head, stage, assets.variables("vgg19")
    )
    for name, value in terms.items():
        yield from golden.check(f"loss_{name}", value, MRF if "mrf" in name else TERM)
    yield from golden.check("metric_photometric_detailed_texture", seen, TERM)
    yield from golden.check("loss_total", sum(terms.values()), MRF)
    for name, gradient in gradients.items():
        yield from golden.check(f"grad_{name}", gradient, CODE_GRADIENT)
