"""What a trained recogniser reads, beside what ships: in drawn faces and in labelled photos.

    python benchmarks/emotion_trained.py runs/emotion_small/network.npz --size 80 [--drawn DATASETS --faces 300]
        [--photos FOLDER] [--judge face_landmarker.task --python JUDGE_VENV/bin/python]

Faces are cut out by the landmarks that our own detector finds, drawn ones too. FOLDER holds pictures and `labels.json`:
{"a.jpg": {"expression": ["happy"], "valence_sign": 1 or -1 or 0 or null}}. The judge is that of `benchmarks/units.py`.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Array, Float, UInt8
from units import judged, ours, print_agreement

import emoca_jax as ej
from data_pipelines.pixels import decoded
from data_pipelines.sources import open_records
from emoca_jax.capture.detect import load_networks
from emoca_jax.capture.found_faces import found_faces
from emoca_jax.capture.images import as_photo
from emoca_jax.emotion.class_affect import affect_from_classes
from emoca_jax.errors import InputError
from emoca_jax.jobs.look import look
from emoca_jax.jobs.read_emotion import load_emotion_model, read_emotion
from emoca_jax.losses.affect import valence_arousal_measures
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES, AffectRead
from emoca_jax.nets.emotion.crop import CROP_SIZE, ExpressionCrop, crop_image
from emoca_jax.nets.emotion.open import EXPRESSION_CLASSES, load_expression_networks
from emoca_jax.training.stages.emotion import IMAGE_NETWORKS

NO_UNITS = np.zeros(0, np.float32)


class Read(NamedTuple):
    """Of one face."""

    probabilities: Float[np.ndarray, "8"]
    valence: float
    arousal: float
    units: Float[np.ndarray, "_"]
    """None of them by networks that know none."""

    @property
    def label(self) -> str:
        return AFFECTNET_CLASSES[int(np.argmax(self.probabilities))]


class Reader(NamedTuple):
    """What finds faces, and the networks that read them."""

    detector: Any
    shipped: Any
    variables: Any
    network: str
    size: int

    def __call__(self, image: Any) -> tuple[Read, Read]:
        """By the trained network, and by those that ship, in the largest face. Errors: InputError without one."""
        (found,) = found_faces(self.detector, as_photo(image), "largest")
        seen = look(self.shipped, found)
        read = jax.device_get(_read(self.variables, seen.image, seen.crop, network=self.network, size=self.size))
        shares: dict[str, float] = dict(
            zip(EXPRESSION_CLASSES, np.asarray(seen.read.probabilities).tolist(), strict=True)
        )
        all_eight = np.array([shares.get(name, 0.0) for name in AFFECTNET_CLASSES])
        return Read(*read), Read(all_eight, *affect_from_classes(shares), NO_UNITS)


@functools.partial(jax.jit, static_argnames=("network", "size"))
def _read(
    variables: Any, image: Float[Array, "height width 3"], crop: ExpressionCrop, *, network: str, size: int
) -> tuple[Array, ...]:
    picture = crop_image(image, crop, size=size)
    read: Any = IMAGE_NETWORKS[network]().apply(variables, jnp.stack([picture, picture[:, ::-1]]))
    assert isinstance(read, AffectRead) and read.unit_logits is not None
    # A face and its mirror image show the same emotion.
    shares = jax.nn.softmax(read.expression_logits).mean(axis=0)
    return shares, read.valence.mean(), read.arousal.mean(), jax.nn.sigmoid(read.unit_logits[0])


def load_network(path: Path) -> dict[str, Any]:
    """Variables of the network that `scripts/train.py` left."""
    with np.load(path, allow_pickle=False) as file:
        return unflatten_dict({name: jnp.asarray(file[name]) for name in file.files}, sep="/")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variables", type=Path, metavar="NETWORK.npz")
    parser.add_argument("--network", default="small", help="what it is: config.network")
    parser.add_argument("--drawn", type=Path, help="folder of packaged open faces; their validation split is read")
    parser.add_argument("--faces", type=int, default=300)
    parser.add_argument("--size", type=int, default=CROP_SIZE, help="pixels a side of the crops")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--python", help="of an environment with mediapipe==0.10.21")
    asked = parser.parse_args()
    reader = Reader(
        load_networks(), load_expression_networks(), load_network(asked.variables), asked.network, asked.size
    )
    if asked.drawn:
        drawn(reader, asked.drawn, asked.faces)
    if asked.photos:
        photos(reader, asked.photos)
    if asked.photos and asked.judge:
        units(reader, asked.photos, asked.judge, asked.python)


def drawn(reader: Reader, folder: Path, count: int) -> None:
    """Measures over drawn faces that the detector finds."""
    records = open_records("open_faces", "validation", data_dir=folder)
    reads: list[tuple[Read, Read]] = []
    truths: list[dict[str, Any]] = []
    for index in range(min(count, len(records))):
        sample = records[index]
        try:
            reads.append(reader(larger(decoded(sample["image"]))))
            truths.append(sample)
        except InputError:
            continue
    print(f"\ndrawn faces: {len(truths)} of {count} found")
    labels = np.array([truth["expression"] for truth in truths])
    for name, which in (("trained", 0), ("ships", 1)):
        some = [read[which] for read in reads]
        measures = valence_arousal_measures(
            *(jnp.array([getattr(read, key) for read in some], jnp.float32) for key in ("valence", "arousal")),
            *(jnp.array([truth[key] for truth in truths], jnp.float32) for key in ("valence", "arousal")),
        )
        told = np.array([int(np.argmax(read.probabilities)) for read in some])
        line = ", ".join(f"{key} {float(measures[key]):.3f}" for key in ("v_ccc", "a_ccc"))
        recalls = " ".join(
            f"{label} {np.mean(told[labels == k] == k):.2f}" for k, label in enumerate(AFFECTNET_CLASSES)
        )
        print(f"{name}: {line}, accuracy {np.mean(told == labels):.3f} ({recalls})")
    error = np.abs(np.stack([read[0].units for read in reads]) - np.stack([truth["units"] for truth in truths]))
    print(f"units, mean absolute error: {error.mean():.3f}")


def larger(picture: UInt8[np.ndarray, "side side 3"]) -> UInt8[np.ndarray, "_side _side 3"]:
    """With a grey border: the detector is made for photos in which a face does not fill everything."""
    border = picture.shape[0] // 4
    return np.pad(picture, ((border, border), (border, border), (0, 0)), constant_values=127)


def photos(reader: Reader, folder: Path) -> None:
    """A row a labelled photo."""
    labels = {
        name: label for name, label in json.loads((folder / "labels.json").read_text()).items() if name != "about"
    }
    head_model = load_emotion_model("open")
    right = {name: [0, 0] for name in ("trained", "ships", "head")}
    print(f"\n{'photo':20} {'label':28} trained               ships                 fitted head")
    for name, label in labels.items():
        trained, ships = reader(folder / name)
        (result,) = read_emotion(head_model, folder / name, faces="largest")
        fitted = result.readings[1]
        head = Read(
            np.array([fitted.probabilities[key] for key in AFFECTNET_CLASSES]), fitted.valence, fitted.arousal, NO_UNITS
        )
        row = {"trained": trained, "ships": ships, "head": head}
        for who, read in row.items():
            right[who][0] += read.label in label["expression"]
            right[who][1] += bool(label["valence_sign"]) and np.sign(read.valence) == label["valence_sign"]
        told = "  ".join(f"{read.label:9}{read.valence:+.2f} {read.arousal:+.2f}" for read in row.values())
        print(f"{name:20} {'/'.join(label['expression']):28} {told}")
    signs = sum(bool(label["valence_sign"]) for label in labels.values())
    for who, (classes, valences) in right.items():
        print(f"{who}: classes {classes} of {len(labels)}, signs of valence {valences} of {signs}")


def units(reader: Reader, folder: Path, judge: Path, python: str) -> None:
    """Agreement with the judge of the fit's units, then of the trained network's."""
    names = ej.load_head("open").expression_names
    paths = [str(path) for path in sorted(folder.iterdir()) if path.suffix in (".jpg", ".png")]
    told = judged(judge, python, paths)
    read: Callable[[str], Any] = lambda path: reader(path)[0].units  # noqa: E731
    print("\nunits of the fit")
    print_agreement(ours(paths, "open", None), told)
    print("\nunits of the trained network")
    print_agreement({path: dict(zip(names, read(path).tolist(), strict=True)) for path in paths}, told)


if __name__ == "__main__":
    main()
