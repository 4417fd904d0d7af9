"""How images become codes while training: E_flame and E_expression, trained or not, of the official kind or the open.

Parameters and statistics lie under "flame", "expression" and, where both read one frozen trunk, "trunk"; what reads
landmarks, and stays as it is, under "points".
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
    FlameCodes,
    split_expression,
    split_flame,
)
from emoca_jax.nets.open_encoder import LEVEL, OPEN_SIZE, OpenReader, OpenTrunk
from emoca_jax.open_codes import (
    light_outputs,
    moved_units,
    open_outputs,
    part_of,
    split_light,
    split_open,
    split_units,
)
from emoca_jax.training.state import Parameters

FLAME, EXPRESSION, TRUNK, POINTS = "flame", "expression", "trunk", "points"
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

    @property
    def parts(self) -> tuple[str, ...]:
        """Where parameters of a trained E_flame lie, at the root."""
        ...

    def start(self, key: Array) -> tuple[Parameters, Parameters]:
        """Parameters and statistics of an E_flame that has learned nothing."""
        ...

    def with_expression(self, parameters: Parameters, statistics: Parameters) -> tuple[Parameters, Parameters]:
        """Those of a trained E_flame, and of an E_expression that changes nothing of its answer yet."""
        ...

    def encode(
        self,
        parameters: Parameters,
        statistics: Parameters,
        images: Array,
        *,
        trained: str | None,
        landmarks: Array | None = None,
    ) -> Encoded:
        """Codes of images; the encoder `trained` sees them in training mode, others as at inference.

        landmarks: the 478 that were found, [batch, 478, 3], in the images' plane, for encoders that read them.
        """
        ...


def run_network(
    apply: Callable[..., Any], parameters: Any, statistics: Any, *seen: Any, train: bool, **besides: Any
) -> tuple[Array, Any]:
    """What a network says, and its statistics afterwards."""
    variables = {"params": parameters, "batch_stats": statistics}
    if not train:
        return apply(lax.stop_gradient(variables), *seen, **besides), statistics
    said, changed = apply(variables, *seen, **besides, train=True, mutable="batch_stats")
    return said, changed["batch_stats"]


class OfficialEncoders(NamedTuple):
    """EMOCA's ResNet-50s on 224 pixels, for FLAME."""

    dtype: Any = jnp.float32
    jaw: bool = False
    """Whether an E_expression that starts as a copy tells the jaw too (EMOCA v2)."""
    size: int = IMAGE_SIZE

    @property
    def parts(self) -> tuple[str, ...]:
        return (FLAME,)

    def start(self, key: Array) -> tuple[Parameters, Parameters]:
        variables = Encoder(FLAME_OUTPUTS).init(key, jnp.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3)))
        return {FLAME: variables["params"]}, {FLAME: variables["batch_stats"]}

    def with_expression(self, parameters: Parameters, statistics: Parameters) -> tuple[Parameters, Parameters]:
        # E_flame's numbers begin with shape and albedo; its expression, pose and jaw follow.
        begin = FLAME_PARTS["shape"] + FLAME_PARTS["albedo"]
        expression = np.arange(begin, begin + EXPRESSION_OUTPUTS)
        jaw = begin + EXPRESSION_OUTPUTS + FLAME_PARTS["pose"] + np.arange(FLAME_PARTS["jaw"])
        return _with_copy(parameters, statistics, np.concatenate([expression, jaw]) if self.jaw else expression)

    def encode(
        self,
        parameters: Parameters,
        statistics: Parameters,
        images: Array,
        *,
        trained: str | None,
        landmarks: Array | None = None,
    ) -> Encoded:
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


CodesOffLandmarks = Callable[[Any, Array], Codes]
"""Of frozen networks and landmarks [batch, 478, 3], y down, depth away: codes without light and albedo."""


class OpenEncoders(NamedTuple):
    """For the open head: all but light and albedo by an encoder of found landmarks that stays as it is.

    What is trained are readers of one frozen trunk that has learned from photos, on 112 pixels: E_flame's tells light
    and albedo, E_expression's how units differ from those that the landmarks told.
    """

    head: FaceHead
    off_landmarks: CodesOffLandmarks
    networks: Any
    """What `off_landmarks` runs: variables that a run starts with, and keeps."""
    seed: int = 0
    """Of what E_expression begins with."""
    level: bool = False
    """Whether an E_expression that begins tells how faces differ, not what is to change of all (`Level`)."""
    size: int = OPEN_SIZE

    @property
    def parts(self) -> tuple[str, ...]:
        return (POINTS, TRUNK, FLAME)

    def start(self, key: Array) -> tuple[Parameters, Parameters]:
        trunk = {"dense": load_expression_networks()["params"]["dense"]}
        variables = OpenReader(light_outputs(self.head)).init(key, no_maps(trunk))
        return (
            {POINTS: self.networks, TRUNK: trunk, FLAME: variables["params"]},
            {FLAME: variables["batch_stats"]},
        )

    def with_expression(self, parameters: Parameters, statistics: Parameters) -> tuple[Parameters, Parameters]:
        """E_expression says nothing yet: the units stay those that landmarks told."""
        _need_flame(parameters, statistics)
        units = self.head.expression_dirs.shape[-1]
        key, none = jax.random.key(self.seed), jnp.zeros((1, units))
        variables = OpenReader(units, self.level).init(key, no_maps(parameters[TRUNK]), told=none)
        return (
            {**parameters, EXPRESSION: variables["params"]},
            {**statistics, EXPRESSION: variables["batch_stats"]},
        )

    def encode(
        self,
        parameters: Parameters,
        statistics: Parameters,
        images: Array,
        *,
        trained: str | None,
        landmarks: Array | None = None,
    ) -> Encoded:
        if landmarks is None:
            raise InputError("these encoders read landmarks: give those that were found in the images")
        maps: Any = lax.stop_gradient(OpenTrunk().apply({"params": parameters[TRUNK]}, images))
        first = lax.stop_gradient(self.off_landmarks(parameters[POINTS], landmarks))

        def run(name: str, outputs: int, **besides: Any) -> Array:
            reader = OpenReader(outputs, LEVEL in statistics[name]).apply
            said, after[name] = run_network(
                reader, parameters[name], statistics[name], maps, train=name == trained, **besides
            )
            return said

        after, told = dict(statistics), None
        albedo, light = split_light(self.head, run(FLAME, light_outputs(self.head)))
        if EXPRESSION in parameters:
            units = first.expression
            told = moved_units(units, run(EXPRESSION, units.shape[-1], told=units))
        coarse = FlameCodes(
            shape=first.shape, albedo=albedo, expression=first.expression, pose=first.pose, jaw=first.jaw,
            camera=first.camera, light=light,
        )  # fmt: skip
        return Encoded(codes_from(coarse, expression=told), after)


def no_maps(trunk: Any) -> Any:
    """What a reader sees, as zeros."""
    picture = jnp.zeros((1, OPEN_SIZE, OPEN_SIZE, 3))
    maps = jax.eval_shape(lambda: OpenTrunk().apply({"params": trunk}, picture))
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), maps)


class OpenResNets(NamedTuple):
    """EMOCA's ResNet-50s on 224 pixels, for the open head: what a GPU trains from nothing."""

    head: FaceHead
    dtype: Any = jnp.bfloat16
    size: int = IMAGE_SIZE

    @property
    def parts(self) -> tuple[str, ...]:
        return (FLAME,)

    def start(self, key: Array) -> tuple[Parameters, Parameters]:
        variables = Encoder(open_outputs(self.head)).init(key, jnp.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3)))
        # As the readers': the average face at rest, in its place, before anything is learned.
        still = jax.tree.map(jnp.zeros_like, variables["params"]["head"])
        return {FLAME: {**variables["params"], "head": still}}, {FLAME: variables["batch_stats"]}

    def with_expression(self, parameters: Parameters, statistics: Parameters) -> tuple[Parameters, Parameters]:
        part = part_of(self.head, "expression")
        return _with_copy(parameters, statistics, np.arange(part.start, part.stop))

    def encode(
        self,
        parameters: Parameters,
        statistics: Parameters,
        images: Array,
        *,
        trained: str | None,
        landmarks: Array | None = None,
    ) -> Encoded:
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
    _need_flame(parameters, statistics)
    flame: Mapping[str, Any] = parameters[FLAME]
    head = {name: jnp.asarray(leaf)[..., told] for name, leaf in flame["head"].items()}
    copied = {**jax.tree.map(jnp.copy, dict(flame)), "head": head}
    after = jax.tree.map(jnp.copy, statistics[FLAME])
    return {**parameters, EXPRESSION: copied}, {**statistics, EXPRESSION: after}


def _need_flame(parameters: Parameters, statistics: Parameters) -> None:
    if FLAME not in parameters or FLAME not in statistics:
        raise InputError("E_expression starts as a copy of a trained E_flame: give `start` a run of deca_coarse")
