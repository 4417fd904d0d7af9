"""One training step: one program over all devices, in which nothing non-finite reaches the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Key

from emoca_jax.errors import InputError
from emoca_jax.products import CUBLAS
from emoca_jax.training.devices import BATCH, by_example, on_all, spread
from emoca_jax.training.state import Parameters, TrainState, merge

Batch = dict[str, Array]
"""Arrays that share their first axis."""


class Outcome(struct.PyTreeNode):
    """What a loss says of a batch."""

    terms: dict[str, Float[Array, ""]]
    """Weighted; their sum is minimised."""
    statistics: Parameters
    """The batch norms' running statistics after it."""
    measures: dict[str, Float[Array, ""]]
    """Told, not minimised."""


Loss = Callable[[Parameters, Parameters, Batch, Key[Array, ""]], Outcome]
"""Of parameters, statistics, batch and a key for what is random in this step."""


class Report(struct.PyTreeNode):
    """What one step did."""

    loss: Float[Array, ""]
    terms: dict[str, Float[Array, ""]]
    measures: dict[str, Float[Array, ""]]
    gradient_norm: Float[Array, ""]
    finite: Bool[Array, ""]
    """False: the step was skipped."""


Step = Callable[[TrainState, Batch], tuple[TrainState, Report]]


def make_step(
    loss: Loss,
    optimiser: optax.GradientTransformation,
    mesh: Mesh,
    shardings: TrainState,
    *,
    accumulate: int = 1,
    decay: float | None = None,
) -> Step:
    """The jitted step. It takes the state's memory over: the old state can't be used afterwards.

    shardings: where the state lies, before and after, from `state_shardings`.
    accumulate: parts that a batch is seen in, one after the other; the gradient is their mean, as is the loss. Batch
    norms see one part at a time.
    decay: of the moving average of the parameters, for a state that keeps one.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Report]:
        key = jax.random.fold_in(state.key, state.step)
        # What draws asks which devices there are.
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            gradient, outcome = _mean_gradient(loss, state, batch, key, accumulate, mesh)
        norm = optax.tree.norm(cast(Any, gradient))
        total = sum(outcome.terms.values(), jnp.zeros(()))
        finite = jnp.isfinite(total) & jnp.isfinite(norm)
        with jax.numpy_dtype_promotion("standard"):  # optax's decay rates to the power of an integer
            update, moments = optimiser.update(cast(Any, gradient), state.moments, cast(Any, state.trained))
            trained = optax.apply_updates(cast(Any, state.trained), update)
        moved = state.replace(
            trained=trained,
            statistics=outcome.statistics,
            moments=moments,
            average=state.average if decay is None else optax.incremental_update(trained, state.average, 1 - decay),  # type: ignore[arg-type]
        )
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), _moving(moved), _moving(state))
        after = state.replace(
            **kept,
            step=state.step + 1,
            skipped=state.skipped + jnp.where(finite, 0, 1),
            skipped_in_a_row=jnp.where(finite, 0, state.skipped_in_a_row + 1),
        )
        return after, Report(total, outcome.terms, outcome.measures, norm, finite)

    return jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(shardings, by_example(mesh)),
        out_shardings=(shardings, on_all(mesh)),
        compiler_options=CUBLAS,
    )


def state_shardings(mesh: Mesh, state: TrainState, *, spread_parameters: bool = False) -> TrainState:
    """Where each leaf of a state lies: whole on every device, or parameters and moments in parts (FSDP)."""
    shardings = jax.tree.map(lambda _: on_all(mesh), state)
    if not spread_parameters:
        return shardings
    parts = {name: spread(mesh, getattr(state, name)) for name in ("trained", "frozen", "moments", "average")}
    return shardings.replace(**parts)


def non_finite_terms(report: Report) -> list[str]:
    """Names of the terms that are NaN or infinite; empty where only a gradient was."""
    return [name for name, value in report.terms.items() if not jnp.isfinite(value)]


def _moving(state: TrainState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ("trained", "statistics", "moments", "average")}


def _mean_gradient(
    loss: Loss, state: TrainState, batch: Batch, key: Array, accumulate: int, mesh: Mesh
) -> tuple[Parameters, Outcome]:
    def value(trained: Parameters, statistics: Parameters, part: Batch, key: Array) -> tuple[Array, Outcome]:
        outcome = loss(merge(trained, state.frozen), statistics, part, key)
        return sum(outcome.terms.values(), jnp.zeros(())), outcome

    gradient_of = jax.grad(value, has_aux=True)
    if accumulate == 1:
        return gradient_of(state.trained, state.statistics, batch, key)

    def over_part(carry: tuple, part: tuple) -> tuple[tuple, Any]:
        total, statistics = carry
        gradient, outcome = gradient_of(state.trained, statistics, *part)
        return (jax.tree.map(jnp.add, total, gradient), outcome.statistics), (outcome.terms, outcome.measures)

    zeros = jax.tree.map(jnp.zeros_like, state.trained)
    parts = _parts(batch, accumulate, mesh)
    (total, statistics), told = jax.lax.scan(
        over_part, (zeros, state.statistics), (parts, jax.random.split(key, accumulate))
    )
    terms, measures = jax.tree.map(lambda values: values.mean(axis=0), told)
    return jax.tree.map(lambda leaf: leaf / accumulate, total), Outcome(terms, statistics, measures)


def _parts(batch: Batch, accumulate: int, mesh: Mesh) -> Batch:
    """[B, ...] to [accumulate, B / accumulate, ...], every example staying on its device: part i takes each i-th."""

    def of_leaf(leaf: Array) -> Array:
        if leaf.shape[0] % (accumulate * mesh.size):
            raise InputError(
                f"a batch of {leaf.shape[0]} can't be seen in {accumulate} parts on {mesh.size} devices: "
                f"choose a multiple of {accumulate * mesh.size}"
            )
        parts = leaf.reshape(leaf.shape[0] // accumulate, accumulate, *leaf.shape[1:]).swapaxes(0, 1)
        return jax.lax.with_sharding_constraint(parts, NamedSharding(mesh, PartitionSpec(None, BATCH)))

    return jax.tree.map(of_leaf, batch)
