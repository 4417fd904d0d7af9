"""MediaPipe's blendshape network as a teacher: what it says of sets of landmarks, through `ai-edge-litert`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from jaxtyping import Float

from emoca_jax.emotion.units import ARKIT_UNITS
from emoca_jax.errors import InputError

MEMBER = "face_blendshapes.tflite"
"""Of face_landmarker.task, which is a zip."""
UNKNOWN = ("tongueOut",)
"""It answers "_neutral" in the first place instead."""


def teacher(task: Path) -> bytes:
    """The network of face_landmarker.task. Errors: InputError where the file is missing or another."""
    try:
        with zipfile.ZipFile(task) as archive:
            return archive.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{task}: holds no {MEMBER} ({error}); give MediaPipe's face_landmarker.task") from error


def teach(network: bytes, points: Float[np.ndarray, "faces 146 2"]) -> Float[np.ndarray, "faces 52"]:
    """Strengths of `ARKIT_UNITS` by the network of `teacher`; 0 for those that it does not know.

    points: `EXPRESSION_POINTS`, y down, in any unit that is the same for x and y: the network itself takes away where
    they lie and how large they are.
    """
    interpreter = Interpreter(model_content=network, num_threads=1)
    interpreter.allocate_tensors()
    seen, told = (side[0]["index"] for side in (interpreter.get_input_details(), interpreter.get_output_details()))
    known = [place for place, name in enumerate(ARKIT_UNITS) if name not in UNKNOWN]
    units = np.zeros((len(points), len(ARKIT_UNITS)), np.float32)
    for row, face in enumerate(points.astype(np.float32)):
        interpreter.set_tensor(seen, face[None])
        interpreter.invoke()
        units[row, known] = interpreter.get_tensor(told)[1:]
    return units
