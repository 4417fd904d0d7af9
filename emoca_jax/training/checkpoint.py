"""Checkpoints of a run: state and place in the data, written beside the training, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, cast, runtime_checkable

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from emoca_jax.errors import InputError
from emoca_jax.files.regular import read_regular
from emoca_jax.files.whole import write_file
from emoca_jax.training.hosts import all_agree
from emoca_jax.training.state import TrainState

BEST_KEPT = 2
"""Checkpoints kept for their metric, beside the latest."""
LATEST_KEPT = 2
"""The last one can be damaged: the one before is kept, too."""
STATE, PLACE = "state", "place"
SEAL = "sha256.json"
"""In a checkpoint's folder: the hash of each of its files. Orbax alone may read a damaged file without a word."""


@runtime_checkable
class Batches(Protocol):
    """Batches without end, of this process; what `grain` makes is one."""

    def __next__(self) -> dict[str, np.ndarray]:
        """The next batch."""
        ...

    def get_state(self) -> Any:
        """The place in the data, as JSON has it."""
        ...

    def set_state(self, state: Any) -> None:
        """Go on from that place."""
        ...


class Checkpoints:
    """The checkpoints of one run in one folder.

    metric, best: which of an evaluation's measures tells what is best, and whether "min" or "max" is.
    tell: hears of checkpoints that are damaged; they are put aside as `damaged_STEP`.
    """

    def __init__(self, folder: Path, *, metric: str, best: str = "max", tell: Callable[[str], None]) -> None:
        latest = preservation_policy.LatestN(LATEST_KEPT)
        of_metric = preservation_policy.BestN(
            get_metric_fn=lambda measures: measures[metric],
            reverse=best == "min",
            n=BEST_KEPT,
            keep_checkpoints_without_metrics=False,
        )
        self.metric, self.best = metric, best
        self.folder = folder.absolute()
        self._tell = tell
        # Before the manager comes, which stumbles over damaged measures.
        if jax.process_index() == 0:
            _put_damaged_aside(self.folder, tell)
        all_agree(True, what="damaged checkpoints are out of the way")
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                # Without these two the manager does not write the measures.
                best_fn=lambda measures: measures[metric],
                best_mode=best,
                preservation_policy=preservation_policy.AnyPreservationPolicy([latest, of_metric]),
                cleanup_tmp_directories=True,
            ),
        )

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manager.close()

    def save(self, state: TrainState, place: Any, *, measures: dict[str, float] | None = None) -> None:
        """Begin to write; training goes on meanwhile. `measures`: of an evaluation at this step, if there was one."""
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        self.finish()
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **{STATE: ocp.args.StandardSave(cast(Any, state)), PLACE: ocp.args.JsonSave({"place": place})}
            ),
            metrics=measures,
            force=True,
        )

    def finish(self) -> None:
        """Wait until all is written. Errors: InputError where it could not be, for want of room, say."""
        try:
            self._manager.wait_until_finished()
            if jax.process_index() == 0:
                for step in self.steps():
                    _seal(self.folder / str(step))
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{self.folder}: a checkpoint cannot be written ({_first_line(error)}); make room and start the same "
                f"command again, it goes on from step {max(self.steps(), default=0)}"
            ) from error

    def steps(self) -> list[int]:
        """Of all checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def restore_latest(self, like: TrainState) -> tuple[TrainState, Any] | None:
        """State and place in the data of the last checkpoint; None where there is none.

        like: a state with the shapes, types and shardings that are wanted, on however many devices.
        Errors: InputError where the checkpoint is of another configuration.
        """
        for step in reversed(self.steps()):
            found, error = None, None
            try:
                found = self.restore(step, like)
            except InputError as wrong:
                error = wrong
            if all_agree(found is not None, what=f"checkpoint {step} is read"):
                return found
            error = error or InputError(f"{self.folder / str(step)}: another process cannot read it")
            if (self.folder / str(step) / SEAL).exists():
                raise error
            # The run was killed before it could be sealed.
            self._tell(f"{error}; going on from the one before")
            if jax.process_index() == 0:
                _put_aside(self.folder / str(step))
            all_agree(True, what=f"checkpoint {step} is put aside")
            self._manager.reload()
        return None

    def restore(self, step: int, like: TrainState) -> tuple[TrainState, Any]:
        """State and place in the data of one checkpoint.

        Errors: InputError where it is of another configuration.
        """
        wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        arguments = ocp.args.Composite(
            **{STATE: ocp.args.StandardRestore(cast(Any, wanted)), PLACE: ocp.args.JsonRestore()}
        )
        try:
            restored = self._manager.restore(step, args=arguments)
        except Exception as error:  # of Orbax, TensorStore or JSON
            raise InputError(
                f"{self.folder / str(step)}: is no checkpoint of this configuration ({_first_line(error)})"
            ) from error
        return restored[STATE], restored[PLACE]["place"]


def _put_damaged_aside(folder: Path, tell: Callable[[str], None]) -> None:
    for checkpoint in sorted(folder.glob("[0-9]*")):
        try:
            _check_seal(checkpoint)
        except InputError as error:
            tell(f"{error}: this checkpoint is not used")
            _put_aside(checkpoint)


def _put_aside(checkpoint: Path) -> None:
    checkpoint.rename(checkpoint.with_name(f"damaged_{checkpoint.name}_{secrets.token_hex(4)}"))


def _seal(folder: Path) -> None:
    if not (folder / SEAL).exists():
        # Another save may be putting old checkpoints away.
        with contextlib.suppress(FileNotFoundError):
            write_file(folder / SEAL, json.dumps(_hashes(folder), indent=1).encode())


def _check_seal(folder: Path) -> None:
    """InputError where a sealed checkpoint has changed; one that was killed before is Orbax's to judge."""
    if not (folder / SEAL).exists():
        return
    try:
        sealed = json.loads(read_regular(folder / SEAL))
    except ValueError as error:
        raise InputError(f"{folder / SEAL}: is damaged") from error
    found = _hashes(folder)
    for name in sorted({*sealed, *found}):
        if sealed.get(name) != found.get(name):
            raise InputError(f"{folder / name}: is missing, damaged or new")


def _hashes(folder: Path) -> dict[str, str]:
    """Relative name -> SHA-256 of every file under a folder but the seal."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != SEAL:
            with path.open("rb") as file:
                hashes[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
