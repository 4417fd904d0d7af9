"""Puts newly measured arrays into a head file; everything else stays as it is stored."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np

from emoca_jax.files.whole import write_file

ASSET = Path(__file__).parents[1] / "emoca_jax" / "assets" / "open_head.npz"


def replace_arrays(path: Path, arrays: dict[str, np.ndarray], provenance: dict[str, str]) -> None:
    """Rewrite the .npz and the .json beside it with these arrays, and with what they come from."""
    with np.load(path) as stored:
        packed = io.BytesIO()
        np.savez_compressed(packed, **{**stored, **arrays})  # pyright: ignore[reportArgumentType] (names of arrays)
    meta = json.loads(path.with_suffix(".json").read_text())
    meta["sha256"] = hashlib.sha256(packed.getvalue()).hexdigest()
    meta["provenance"] |= provenance
    # The json first: a reader that comes between the two sees a wrong checksum, never a silent mixture.
    write_file(path.with_suffix(".json"), json.dumps(meta, indent=1).encode())
    write_file(path, packed.getvalue())


def rms(vectors: np.ndarray) -> float:
    """Root of the mean squared length."""
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=-1))))
