"""Identity and ID-MRF losses on the made-up images, values and gradients, and what their networks see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emoca_jax.losses.identity import identity_distance
from emoca_jax.losses.mrf import id_mrf, style_and_content
from emoca_jax.nets.identity import MEAN_BGR, identity_features
from emoca_jax.nets.resnet import ResNet50
from emoca_jax.nets.vgg import CONVOLUTIONS, VGG19, VGGFeatures
from parity.assets import Assets
from parity.golden import EXACT, Comparison, Golden, Tolerance
from parity.layout import to_first
from parity.noise import GRADIENT, NETWORK, within_noise

MRF, MRF_GRADIENT = Tolerance(relative=1e-3), GRADIENT._replace(relative=1e-3, outliers=0.15, farthest=0.03)
CHANNELS = 16
"""Step of the stored subset of VGG's feature maps."""


def mixed(images: jnp.ndarray) -> tuple[jnp.ndarray, jnp.ndarray]:
    """Rendering and photo that the reference made up from its four images."""
    return 0.8 * images[:2] + 0.2 * images[2:], images[:2]


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("note_gen", "note_mrf")
    rendering, photo = mixed(assets.images)
    yield from _identity(assets.variables("identity_resnet50"), golden, rendering, photo)
    yield from _mrf(assets.variables("vgg19"), golden, *(each[:, 32:160, 48:176] for each in (rendering, photo)))


def _identity(variables: dict, golden: Golden, rendering: jnp.ndarray, photo: jnp.ndarray) -> Iterator[Comparison]:
    features = jax.jit(identity_features)
    target = features(variables, photo)

    def loss(rendering, variables, target):
        found = identity_features(variables, rendering)
        return identity_distance(found, target), found

    (value, found), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(rendering, variables, target)
    # 1 - cos cancels: what is left of it cannot be nearer than the rounding of 1.
    yield from golden.check("identity", value, Tolerance(absolute=1e-6, relative=1e-4))
    yield from golden.check("identity_grad", to_first(gradient), GRADIENT)
    yield from golden.check("identity_features_gen", found, within_noise("vggface2_feat"))
    yield from golden.check("identity_features_tar", target, within_noise("vggface2_feat"))
    plain = jax.jit(ResNet50("vggface2").apply)(
        variables, photo[..., ::-1] * 255 - jnp.array(MEAN_BGR)[None, None, None]
    )
    note = "neither doubled nor cropped"
    yield from golden.check("identity_feat_raw_input", plain, within_noise("vggface2_feat"), note)


def _mrf(variables: dict, golden: Golden, rendering: jnp.ndarray, photo: jnp.ndarray) -> Iterator[Comparison]:
    network = VGG19()

    def maps(image, variables):
        found: Any = network.apply(variables, image)
        return found._asdict()

    target = jax.jit(maps)(photo, variables)

    def loss(rendering, variables, target):
        found = maps(rendering, variables)
        return id_mrf(found, target), style_and_content(found, target)

    (value, parts), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(rendering, variables, target)
    yield from golden.check("mrf", value, MRF)
    yield from golden.check("mrf_style", parts[0], MRF)
    yield from golden.check("mrf_content", parts[1], MRF)
    yield from golden.check("mrf_grad", to_first(gradient), MRF_GRADIENT)
    for name, array in target.items():
        yield from golden.check(f"vgg_{name}", to_first(array)[:, ::CHANNELS], NETWORK)
    # Their list runs over torchvision's layers; ours must name the ReLU behind the first convolution of each block.
    names = golden["vgg_layer_names"].copy()
    starts = [place for place, name in CONVOLUTIONS.items() if name.endswith("_1")]
    for place, name in zip(starts, VGGFeatures._fields, strict=True):
        names[place + 1] = name
    yield from golden.check("vgg_layer_names", np.asarray(names), EXACT)
