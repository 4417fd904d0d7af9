"""E_detail and D_detail while training, beside coarse encoders of the official kind or the open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from emoca_jax.codes import Codes
from emoca_jax.flame.head import FaceHead
from emoca_jax.nets.detail_decoder import BLOCKS, LATENT, DetailDecoder, blocks_of, side_of
from emoca_jax.nets.encoders import DETAIL_OUTPUTS, IMAGE_SIZE, Encoder
from emoca_jax.nets.open_encoder import OPEN_SIZE, OpenReader, OpenTrunk
from emoca_jax.training.stages.encoders import TRUNK, no_maps, run_network
from emoca_jax.training.state import Parameters

DETAIL, DECODER = "detail", "decoder"
"""Where parameters of E_detail and D_detail lie, at the root, beside the coarse encoders'."""
JAW = 3
"""Numbers of the jaw's pose in D_detail's latent."""


class DetailNetworks(NamedTuple):
    """What a kind of E_detail and D_detail is made of; the papers' by default."""

    latent: int = LATENT
    """Numbers that D_detail takes: jaw, expression, detail."""
    blocks: tuple[int, ...] = BLOCKS
    """D_detail's channels after each doubling of the map's side."""
    reads_trunk: bool = False
    """Whether E_detail reads the maps of the frozen trunk, as the open head's other readers do, or is a ResNet-50."""
    size: int = IMAGE_SIZE
    """Pixels a side of the images."""
    dtype: Any = jnp.float32
    """Of the convolutions of D_detail and of a ResNet-50."""

    @property
    def side(self) -> int:
        """Texels a side of the displacement."""
        return side_of(self.blocks)

    def start(self, parameters: Parameters, statistics: Parameters, key: Array) -> tuple[Parameters, Parameters]:
        """Coarse encoders beside an E_detail and a D_detail that have learned nothing, where there are none yet."""
        seen = no_maps(parameters[TRUNK]) if self.reads_trunk else jnp.zeros((1, self.size, self.size, 3))
        networks = {
            DETAIL: (self._encoder(), seen),
            DECODER: (DetailDecoder(blocks=self.blocks), jnp.zeros((1, self.latent))),
        }
        parameters, statistics = dict(parameters), dict(statistics)
        for own, (name, (network, given)) in zip(jax.random.split(key), networks.items(), strict=True):
            if name not in parameters:
                variables = jax.jit(network.init)(own, given)
                parameters[name], statistics[name] = variables["params"], variables["batch_stats"]
        return parameters, statistics

    def encode(
        self, parameters: Parameters, statistics: Parameters, images: Float[Array, "batch size size 3"], *, train: bool
    ) -> tuple[Float[Array, "batch details"], Any]:
        """Detail codes of images, RGB in [0, 1], and E_detail's statistics afterwards."""
        seen: Any = images
        if self.reads_trunk:
            seen = lax.stop_gradient(OpenTrunk().apply({"params": parameters[TRUNK]}, images))
        return run_network(self._encoder().apply, parameters[DETAIL], statistics[DETAIL], seen, train=train)

    def displace(
        self, parameters: Parameters, statistics: Parameters, codes: Codes, *, train: bool
    ) -> tuple[Float[Array, "batch side side"], Any]:
        """Displacement along the normal, metres, of codes with a detail code; D_detail's statistics afterwards."""
        assert codes.detail is not None
        latent = jnp.concatenate([codes.jaw, codes.expression, codes.detail], axis=-1)
        decoder = DetailDecoder(dtype=self.dtype, blocks=self.blocks).apply
        return run_network(decoder, parameters[DECODER], statistics[DECODER], latent, train=train)

    def _encoder(self) -> Encoder | OpenReader:
        if self.reads_trunk:
            return OpenReader(DETAIL_OUTPUTS, by_chance=True)
        return Encoder(DETAIL_OUTPUTS, dtype=self.dtype)


def open_detail_networks(
    head: FaceHead, *, reads_trunk: bool, blocks: tuple[int, ...] = BLOCKS, dtype: Any = jnp.float32
) -> DetailNetworks:
    """Those of the open head, whose expression has more numbers than FLAME's."""
    latent = JAW + head.expression_dirs.shape[-1] + DETAIL_OUTPUTS
    return DetailNetworks(latent, blocks, reads_trunk, OPEN_SIZE if reads_trunk else IMAGE_SIZE, dtype)


def saved_detail_networks(head: FaceHead, parameters: Mapping[str, Any]) -> DetailNetworks | None:
    """Those of an open encoder's variables, by what stands beside them; None where it has none."""
    if DETAIL not in parameters or DECODER not in parameters:
        return None
    return open_detail_networks(head, reads_trunk=TRUNK in parameters, blocks=blocks_of(parameters[DECODER]))
