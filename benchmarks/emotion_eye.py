"""What feels emotion in the loss, beside the truth: what it sees in renderings of true units and of told units.

    python benchmarks/emotion_eye.py --data datasets --eye runs/eye --start runs/deca RUN [...]

Validation people. A loss that is lower at told units than at true ones is content with a face that is not the photo's.
A row each for the photos' true units drawn with the other codes of --start, for units half way between those that
--start tells and the true ones, and for every run:
emotion, its centred form and 1 - cos: the terms of objectives.coarse, unweighted; V, A: CCC of what the eye sees in the
renderings with the truth, mean V its mean; the same of what EMO-MLP reads from the units; brows: mean of both browDown;
smiles' spread: standard deviation of both mouthSmile. Behind the table: the same of what the eye sees in the photos,
the variance of its features there, in parts of which losses of two eyes compare, and how much photos keep of what
features differ by in renderings of true units (the slope of one on the other, all features together).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The package and the scripts are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.encoder_crops import BYTE
from emoca_jax import render
from emoca_jax.emotion.units import load_units_network, read_units
from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import landmark_model
from emoca_jax.flame import load_head
from emoca_jax.jobs.landmark_encoders import landmark_encoders
from emoca_jax.losses import emotion_consistency
from emoca_jax.model import decode
from emoca_jax.objectives.emotion_eyes import eye_of
from scripts.reproduce import CLAIMED, SIDE
from scripts.reproduction_measures import AT_ONCE, MEASURES, HeldOut, Told, held_out
from scripts.train_coarse import variables_of

COLUMNS = (
    "emotion", "centred", "cosine", "eye: V", "A", "mean V", "EMO-MLP: V", "A", "mean V", "brows", "smiles' spread",
)  # fmt: skip


class Sight:
    """The eye over renderings of validation people."""

    def __init__(self, data: str, eye: str) -> None:
        self.head = jax.device_put(load_head("open"))
        self.encoders = landmark_encoders(self.head, landmark_model(self.head))
        self.faces: HeldOut = held_out(data, side=SIDE, size=self.encoders.size, split="validation")
        self.variables = jax.device_put(variables_of(eye))
        self.eye, self.emo_mlp = eye_of(self.variables), load_units_network()
        self.photos = ""
        """What the eye sees in the photos, once a row is told."""
        self.kept = float("nan")
        """Of what features of the last row's renderings differ by, in photos."""
        self.one_batch = jax.jit(self._one_batch)

    def _one_batch(self, run: Mapping[str, Any], seen: Mapping[str, Any], units: Any, way: Any) -> dict[str, Any]:
        images = seen["images"].astype(jnp.float32) / BYTE
        codes = self.encoders.encode(
            run["params"], run["batch_stats"], images, trained=None, landmarks=seen["landmarks_mediapipe"]
        ).codes
        codes = codes.replace(expression=codes.expression + way * (units - codes.expression))
        found = decode(self.head, codes, images.shape[1:3])
        cover = found.alpha * seen["mask"]
        pictures = render.over(images, jnp.clip(found.rendering, 0, 1) * cover[..., None], cover)
        read = read_units(self.emo_mlp, codes.expression, self.head.expression_names)
        photo, shown = (self.eye.read(self.variables, one, seen["landmarks_mediapipe"]) for one in (images, pictures))
        return {
            "photo": photo.features, "shown": shown.features, "valence": shown.valence, "arousal": shown.arousal,
            "read valence": read.valence, "read arousal": read.arousal, "units": codes.expression,
            "photo valence": photo.valence, "photo arousal": photo.arousal,
        }  # fmt: skip

    def row(self, run: str, *, way: float) -> list[float]:
        """Numbers of COLUMNS. way: from the units that the run tells, 0, to the true ones, 1."""
        variables, parts = jax.device_put(variables_of(run)), []
        for start in range(0, len(self.faces.person), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            seen = {name: array[rows] for name, array in self.faces.seen.items()}
            units = self.faces.truth["units"][rows].astype(np.float32)
            parts.append(jax.device_get(self.one_batch(variables, seen, units, way)))
        of = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        apart = of["shown"] - of["photo"]
        emotion = float(np.mean(apart**2)), float(np.mean((apart - apart.mean(axis=0)) ** 2))
        seen_and_felt = of["shown"], of["photo"]
        angle = float(emotion_consistency.emotion_feature_distance(*map(jnp.asarray, seen_and_felt), kind="cosine"))
        brows, smiles = (of["units"][:, self._both(name)] for name in ("browDown", "mouthSmile"))
        photo, shown = (of[side] - of[side].mean(axis=0) for side in ("photo", "shown"))
        variance, self.kept = float(np.mean(photo**2)), float(np.sum(photo * shown) / np.sum(shown**2))
        seen = ", ".join(f"{number:.3f}" for number in self._read(of, "photo "))
        self.photos = f"photos: V, A, mean V {seen}; variance of features {variance:.3f}"
        return [
            *emotion,
            angle,
            *self._read(of, ""),
            *self._read(of, "read "),
            float(brows.mean()),
            float(smiles.std(axis=0).mean()),
        ]

    def _both(self, name: str) -> list[bool]:
        return [unit.startswith(name) for unit in self.head.expression_names]

    def _read(self, of: Mapping[str, np.ndarray], who: str) -> list[float]:
        faces, none = len(self.faces.person), np.zeros(len(self.faces.person))
        told = Told(*[none] * len(Told._fields))
        told = told._replace(valence=of[f"{who}valence"], arousal=of[f"{who}arousal"])
        agreement = [MEASURES[name](told, self.faces.truth, np.arange(faces)) for name in CLAIMED]
        return [*agreement, float(told.valence.mean())]


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--data", required=True, help="folder of packaged open faces, looked for")
    parser.add_argument("--eye", required=True, help="a recogniser's run")
    parser.add_argument("--start", required=True, help="run of E_flame, whose other codes true units are drawn with")
    asked = parser.parse_args(arguments)
    try:
        sight = Sight(asked.data, asked.eye)
        print(f"{len(sight.faces.person)} faces\n| | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
        kept = []
        for name, run, way in (
            ("true units", asked.start, 1.0),
            ("half way", asked.start, 0.5),
            *((Path(run).name, run, 0.0) for run in asked.runs),
        ):
            print(f"| {name} | " + " | ".join(f"{number:.3f}" for number in sight.row(run, way=way)) + " |", flush=True)
            kept.append(sight.kept)
        print(f"{sight.photos}; kept in photos of renderings of true units {kept[0]:.3f}")
    except InputError as error:
        print(f"emotion_eye: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
