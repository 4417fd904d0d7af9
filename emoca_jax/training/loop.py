"""A run from its first step to its last, through any number of interruptions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Key

from emoca_jax.errors import InputError
from emoca_jax.training.checkpoint import Batches, Checkpoints
from emoca_jax.training.devices import device_mesh, place_batch
from emoca_jax.training.seeing import Faces, Sight
from emoca_jax.training.state import IsTrained, Parameters, TrainState, merge, start
from emoca_jax.training.step import Batch, Loss, Report, Step, make_step, non_finite_terms, state_shardings
from emoca_jax.training.stopping import Stopping

AHEAD = 2
"""Batches that are on the devices before they are needed."""


class Stage(NamedTuple):
    """What is trained, on what, and how it is judged."""

    name: str
    initial: Callable[[Key[Array, ""]], tuple[Parameters, Parameters]]
    """Parameters and running statistics to start from."""
    loss: Loss
    optimiser: optax.GradientTransformation
    evaluate: Callable[[Parameters, Parameters], dict[str, float]]
    """Measures of parameters and statistics on data that is not trained on."""
    metric: str
    """The measure that tells which checkpoint is best."""
    best: str = "max"
    is_trained: IsTrained = lambda path: True
    show: Callable[[Parameters, Parameters], Faces | None] = lambda parameters, statistics: None
    """What parameters and statistics make of some of that data; None where there is nothing to look at."""


class Settings(NamedTuple):
    """How long, how often, and over what."""

    steps: int
    seed: int = 0
    log_every: int = 20
    save_every: int = 500
    evaluate_every: int = 500
    accumulate: int = 1
    decay: float | None = None
    """Of the moving average of the parameters; evaluated and kept in their place where given."""
    spread_parameters: bool = False
    most_skipped: int = 10
    """Steps in a row that may be skipped for a loss that is not finite."""


class Ended(NamedTuple):
    """How a run came to its end."""

    state: TrainState
    measures: dict[str, float] | None
    """Of the last evaluation; None where the run was told to stop."""
    exit_code: int


def run(stage: Stage, batches: Batches, settings: Settings, folder: Path, *, mesh: Mesh | None = None) -> Ended:
    """Train in `folder`, going on from its last checkpoint where there is one.

    A run that was interrupted, and one that was not, are equal bit for bit on the same number of devices.
    Errors: InputError where losses stay non-finite, naming the terms; where a checkpoint is of another configuration or
    cannot be written.
    """
    mesh = mesh or device_mesh()
    state, step = prepare(stage, settings, mesh)
    sight = Sight(folder, stage.name, settings.steps)
    with (
        sight,
        Stopping() as stopping,
        Checkpoints(folder / "checkpoints", metric=stage.metric, best=stage.best, tell=sight.tell) as checkpoints,
    ):
        if found := checkpoints.restore_latest(state):
            state, place = found
            batches.set_state(place)
            sight.tell(f"going on from step {int(state.step)}")
        sight.begin(int(state.step))
        measures: dict[str, float] | None = None
        steps = range(int(state.step) + 1, settings.steps + 1)
        for number, (batch, place) in zip(steps, placed(mesh, batches), strict=False):
            state, report = step(state, batch)
            last = number == settings.steps
            if last or number % settings.log_every == 0:
                _check(state, report, settings)
                sight.note(number, report, examples=_examples(batch))
            measures = None
            if last or number % settings.evaluate_every == 0:
                measures = stage.evaluate(*evaluated(state, settings))
                sight.measured(number, measures)
            stop = stopping.asked(number)
            if last or stop or measures is not None or number % settings.save_every == 0:
                checkpoints.save(state, place, measures=measures)
            # Pictures last: what the run has learned is safe then.
            if measures is not None and (faces := stage.show(*evaluated(state, settings))):
                sight.show(number, faces)
            if stop and not last:
                checkpoints.finish()
                sight.tell(f"stopped and saved at step {number}; the same command goes on from there")
                return Ended(state, None, stopping.exit_code())
        checkpoints.finish()
        sight.report()
    return Ended(state, measures, 0)


def prepare(stage: Stage, settings: Settings, mesh: Mesh) -> tuple[TrainState, Step]:
    """The state before the first step, on its devices, and the step."""
    state = begun(stage, settings)
    shardings, step = step_of(stage, settings, mesh, state)
    # A copy: what the step takes over must not be the caller's.
    state = jax.tree.map(lambda leaf: leaf.copy(), state)
    if jax.process_count() == 1:
        return jax.device_put(state, shardings), step
    # `device_put` takes no keys to devices of other processes. All have made the same state.
    return jax.jit(lambda whole: whole, out_shardings=shardings)(state), step


def begun(stage: Stage, settings: Settings) -> TrainState:
    """The state before the first step, wherever it was made."""
    begin, draw = jax.random.split(jax.random.key(settings.seed))
    initial, averaged = stage.initial(begin), settings.decay is not None
    return start(*initial, stage.optimiser, draw, is_trained=stage.is_trained, averaged=averaged)


def step_of(stage: Stage, settings: Settings, mesh: Mesh, state: TrainState) -> tuple[TrainState, Step]:
    """Where the state lies on a mesh, and the step; of the state, shapes are enough."""
    shardings = state_shardings(mesh, state, spread_parameters=settings.spread_parameters)
    how = {"accumulate": settings.accumulate, "decay": settings.decay}
    return shardings, make_step(stage.loss, stage.optimiser, mesh, shardings, **how)


def evaluated(state: TrainState, settings: Settings) -> tuple[Parameters, Parameters]:
    """Parameters and statistics to judge and to keep: averaged ones where there are such."""
    trained = state.trained if settings.decay is None else state.average
    return merge(trained, state.frozen), state.statistics


def gathered(tree: Any) -> Any:
    """A tree of NumPy arrays that are whole, also where their parts lie with other processes: all of them must ask."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def placed(mesh: Mesh, batches: Batches) -> Iterator[tuple[Batch, Any]]:
    """Batches on the devices, each with the place in the data behind it; a few are under way ahead of their use."""
    waiting: deque[tuple[Batch, Any]] = deque()
    while True:
        while len(waiting) < AHEAD:
            batch = next(batches)
            waiting.append((place_batch(mesh, batch), batches.get_state()))
        yield waiting.popleft()


def _check(state: TrainState, report: Report, settings: Settings) -> None:
    skipped = int(state.skipped_in_a_row)
    if skipped >= settings.most_skipped:
        terms = ", ".join(non_finite_terms(report)) or "none of the terms, but their gradient"
        raise InputError(
            f"{skipped} steps in a row were skipped, up to step {int(state.step)}; not finite: {terms}. "
            "Lower the learning rate, or look at the data"
        )


def _examples(batch: Batch) -> int:
    return next(iter(batch.values())).shape[0]
