"""How images become codes while training: E_flame and E_expression, trained or not, of the official kind or the open.

Parameters and statistics lie under "flame", "expression" and, where both read one frozen trunk, "trunk".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import codes_from
from emoca_jax.nets.emotion.open import load_expression_networks
from emoca_jax.nets.encoders import (
    EXPRESSION_OUTPUTS,
    FLAME_OUTPUTS,
    FLAME_PARTS,
    IMAGE_SIZE,
    Encoder,
    split_expression,
    split_flame,
)
from emoca_jax.nets.open_encoder import OPEN_SIZE, OpenReader, OpenTrunk
from emoca_jax.open_codes import open_outputs, part_of, split_open, split_units
from emoca_jax.training.state import Parameters

FLAME, EXPRESSION, TRUNK = "flame", "expression", "trunk"
"""Where parameters lie, at the root."""


class Encoded(NamedTuple):
    """Codes of a batch, and the running statistics after it."""

    codes: Codes
    statistics: Parameters


class Encoders(Protocol):
    """A kind of encoders."""

    @property
    def size(self) -> int:
        """Pixels a side of the images."""
        ...

    def start(self, key: Array) -> tuple[Parameters, Parameters]:
        """Parameters and statistics of an E_flame that has learned nothing."""
        ...

    def with_expression(self, parameters: Parameters, statistics: Parameters) -> tuple[Parameters, Parameters]:
        """Those of a trained E_flame, and of an E_expression that starts as its copy."""
        ...

    def encode(self, parameters: Parameters, statistics: Parameters, images: Array, *, trained: str | None) -> Encoded:
        """Codes of images; the encoder `trained` sees them in training mode, others as at inference."""
        ...


def run_network(
    apply: Callable[..., Any], parameters: Any, statistics: Any, *seen: Any, train: bool
) -> tuple[Array, Any]:
    """What a network says, and its statistics afterwards."""
    variables = {"params": parameters, "batch_stats": statistics}
    if not train:
        return apply(lax.stop_gradient(variables), *seen), statistics
    said, changed = apply(variables, *seen, train=True, mutable="batch_stats")
    return said, changed["batch_stats"]


class OfficialEncoders(NamedTuple):
    """EMOCA's ResNet-50s on 224 pixels, for FLAME."""

    dtype: Any = jnp.float32
    jaw: bool = False
    """Whether an E_expression that starts as a copy tells the jaw too (EMOCA v2)."""
    size: int = IMAGE_SIZE

    def start(self, key: Array) -> tuple[Parameters, Parameters]:
        variables = Encoder(FLAME_OUTPUTS).init(key, jnp.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3)))
        return {FLAME: variables["params"]}, {FLAME: variables["batch_stats"]}

    def with_expression(self, parameters: Parameters, statistics: Parameters) -> tuple[Parameters, Parameters]:
        # E_flame's numbers begin with shape and albedo; its expression, pose and jaw follow.
        begin = FLAME_PARTS["shape"] + FLAME_PARTS["albedo"]
        expression = np.arange(begin, begin + EXPRESSION_OUTPUTS)
        jaw = begin + EXPRESSION_OUTPUTS + FLAME_PARTS["pose"] + np.arange(FLAME_PARTS["jaw"])
        return _with_copy(parameters, statistics, np.concatenate([expression, jaw]) if self.jaw else expression)

    def encode(self, parameters: Parameters, statistics: Parameters, images: Array, *, trained: str | None) -> Encoded:
        def run(name: str, outputs: int) -> Array:
            apply = Encoder(outputs, dtype=self.dtype).apply
            said, after[name] = run_network(apply, parameters[name], statistics[name], images, train=name == trained)
            return said

        after = dict(statistics)
        coarse = split_flame(run(FLAME, FLAME_OUTPUTS))
        told = None
        if EXPRESSION in parameters:
            told = split_expression(run(EXPRESSION, parameters[EXPRESSION]["head"]["bias"].shape[-1]))
        return Encoded(codes_from(coarse, expression=told), after)


class OpenEncoders(NamedTuple):
    """Readers of one frozen trunk that has learned from photos, on 112 pixels, for the open head."""

    head: FaceHead
    size: int = OPEN_SIZE

    def start(self, key: Array) -> tuple[Parameters, Parameters]:
        trunk = {"dense": load_expression_networks()["params"]["dense"]}
        maps: Any = jax.eval_shape(OpenTrunk().apply, {"params": trunk}, jnp.zeros((1, OPEN_SIZE, OPEN_SIZE, 3)))
        maps = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), maps)
        variables = OpenReader(open_outputs(self.head)).init(key, maps)
        return {TRUNK: trunk, FLAME: variables["params"]}, {FLAME: variables["batch_stats"]}

    def with_expression(self, parameters: Parameters, statistics: Parameters) -> tuple[Parameters, Parameters]:
        part = part_of(self.head, "expression")
        return _with_copy(parameters, statistics, np.arange(part.start, part.stop))

    def encode(self, parameters: Parameters, statistics: Parameters, images: Array, *, trained: str | None) -> Encoded:
        maps: Any = lax.stop_gradient(OpenTrunk().apply({"params": parameters[TRUNK]}, images))

        def run(name: str, outputs: int) -> Array:
            reader = OpenReader(outputs).apply
            said, after[name] = run_network(reader, parameters[name], statistics[name], maps, train=name == trained)
            return said

        after = dict(statistics)
        coarse = split_open(self.head, run(FLAME, open_outputs(self.head)))
        units = self.head.expression_dirs.shape[-1]
        told = split_units(run(EXPRESSION, units)) if EXPRESSION in parameters else None
        return Encoded(codes_from(coarse, expression=told), after)


class OpenResNets(NamedTuple):
    """EMOCA's ResNet-50s on 224 pixels, for the open head: what a GPU trains from nothing."""

    head: FaceHead
    dtype: Any = jnp.bfloat16
    size: int = IMAGE_SIZE

    def start(self, key: Array) -> tuple[Parameters, Parameters]:
        variables = Encoder(open_outputs(self.head)).init(key, jnp.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3)))
        # As the readers': the average face at rest, in its place, before anything is learned.
        still = jax.tree.map(jnp.zeros_like, variables["params"]["head"])
        return {FLAME: {**variables["params"], "head": still}}, {FLAME: variables["batch_stats"]}

    def with_expression(self, parameters: Parameters, statistics: Parameters) -> tuple[Parameters, Parameters]:
        part = part_of(self.head, "expression")
        return _with_copy(parameters, statistics, np.arange(part.start, part.stop))

    def encode(self, parameters: Parameters, statistics: Parameters, images: Array, *, trained: str | None) -> Encoded:
        def run(name: str, outputs: int) -> Array:
            apply = Encoder(outputs, dtype=self.dtype).apply
            said, after[name] = run_network(apply, parameters[name], statistics[name], images, train=name == trained)
            return said

        after = dict(statistics)
        coarse = split_open(self.head, run(FLAME, open_outputs(self.head)))
        units = self.head.expression_dirs.shape[-1]
        told = split_units(run(EXPRESSION, units)) if EXPRESSION in parameters else None
        return Encoded(codes_from(coarse, expression=told), after)


def _with_copy(parameters: Parameters, statistics: Parameters, told: np.ndarray) -> tuple[Parameters, Parameters]:
    """E_flame beside a copy of it that tells some of its numbers only: whoever sees the copy sees no change."""
    if FLAME not in parameters or FLAME not in statistics:
        raise InputError("E_expression starts as a copy of a trained E_flame: give `start` a run of deca_coarse")
    flame: Mapping[str, Any] = parameters[FLAME]
    head = {name: jnp.asarray(leaf)[..., told] for name, leaf in flame["head"].items()}
    copied = {**jax.tree.map(jnp.copy, dict(flame)), "head": head}
    after = jax.tree.map(jnp.copy, statistics[FLAME])
    return {**parameters, EXPRESSION: copied}, {**statistics, EXPRESSION: after}
