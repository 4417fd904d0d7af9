"""The machines that programs are compiled for, none of which needs to be there: one H100, four TPU v5e; for training
steps eight of each."""

from __future__ import annotations

from typing import NamedTuple

from emoca_jax.training.described import H100, V5E, Machine

PIXELS_TIMES_FACES = 224 * 224 * 10_960
"""Of one picture of the open head: the size of the tensor that a renderer must not make."""


class Target(NamedTuple):
    """Machines of one kind."""

    machine: Machine
    """That programs are compiled for."""
    training: Machine
    """That training steps are compiled for."""
    most_temporaries: int
    """Bytes that any program may keep on a chip beside its arguments and results."""


TARGETS = {
    # Half of a mask of pixels x faces, for a batch of eight pictures as well.
    "h100": Target(H100._replace(topology="1x1x1", chips=1), H100, PIXELS_TIMES_FACES // 2),
    # One of float32. The rasteriser's blocks of 2 x 4 pixels take 8 x 128 places on a TPU.
    "v5e": Target(V5E._replace(topology="v5e:2x2", chips=4), V5E, 4 * PIXELS_TIMES_FACES),
}
