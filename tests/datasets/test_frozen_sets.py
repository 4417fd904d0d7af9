"""Looks that are kept: which face they are of, mirrored or not, and that the key alone decides."""

from io import BytesIO
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from data_pipelines.augment import Amounts
from data_pipelines.frozen_sets import AT_ONCE, Eyes, frozen_sets
from emoca_jax.capture.detect import detect_largest, load_networks
from emoca_jax.emotion.landmark_units import load_unit_reader
from emoca_jax.emotion.units import ARKIT_UNITS, MIRRORED
from emoca_jax.flame import load_head
from emoca_jax.nets.emotion.open import load_expression_networks

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"

FACES = AT_ONCE + 1


class Faces:
    """One photo again and again, every time with other labels."""

    def __init__(self) -> None:
        self.columns: dict[str, np.ndarray] = {}
        picture = Image.open(ASTRONAUT).convert("RGB").crop((150, 0, 300, 150)).resize((144, 144))
        file = BytesIO()
        picture.save(file, "PNG")
        found = detect_largest(load_networks(), np.asarray(picture))
        assert found is not None
        self.sample = {"image": file.getvalue(), "points": found.landmarks - [0.5, 0.5, 0.0]}

    def __len__(self) -> int:
        return FACES

    def __getitem__(self, index: int) -> dict:
        units = np.random.default_rng(index).random(52)
        return {**self.sample, "units": units, "expression": index % 8, "valence": 0.01 * index, "arousal": -0.01}


@pytest.mark.slow
def test_looks_are_of_their_faces_and_come_again():
    faces, eyes = Faces(), Eyes(load_expression_networks(), load_networks()["mesh"], load_unit_reader())
    judges = frozen_sets(faces, eyes, jax.random.key(0), amounts=None)
    order = [load_head("open").expression_names.index(name) for name in ARKIT_UNITS]
    true = np.stack([faces[row]["units"] for row in range(FACES)])[:, order]
    np.testing.assert_allclose(judges.units, np.concatenate([true, true[:, MIRRORED]]), atol=1e-6)
    assert judges.expression.tolist() == 2 * [row % 8 for row in range(FACES)]
    np.testing.assert_allclose(judges.affect[FACES:, 0], 0.01 * np.arange(FACES), atol=1e-6)
    smile = ARKIT_UNITS.index("mouthSmileLeft")
    assert judges.read[:, smile].min() > 0.3, "seen in every look, mirrored or not"
    np.testing.assert_allclose(judges.read[:FACES].mean(0), judges.read[FACES:, MIRRORED].mean(0), atol=0.1)
    first, again, other = (frozen_sets(faces, eyes, jax.random.key(seed), amounts=Amounts()) for seed in (1, 1, 2))
    assert (first.maps == again.maps).all() and (first.maps != other.maps).any(axis=1).all()
    flipped = np.abs(first.units - true[:, MIRRORED]).max(1) < 1e-6
    assert 0 < flipped.sum() < FACES, "half of them, by chance"
    np.testing.assert_allclose(first.units[~flipped], true[~flipped], atol=1e-6)
