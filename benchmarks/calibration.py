"""How sure the networks that ship are of a face's class, beside how often they are right, and the plot of it:

    python benchmarks/emotion_from_fits.py runs/fits.npz --faces 640
    python benchmarks/calibration.py runs/fits.npz [--photos FOLDER] [--picture docs/pictures/calibration.png]

Drawn faces of one file: the expression networks' shares on the pictures, EMO-MLP's on the heads fitted to them. Some
faces choose a temperature, others are judged, without and with it. Photos: a folder with `labels.json` as for
benchmarks/emotion_trained.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from matplotlib import pyplot as plt
from plots import ACCENT, FAINT, INK, SECOND, dress, save

from data_pipelines.open_faces.codes import CHOOSING, JUDGING, read_fits
from emoca_jax.emotion.reading import OPEN_NETWORKS
from emoca_jax.emotion.units import ARKIT_UNITS, UNITS_NETWORK, load_units_network, read_units
from emoca_jax.evaluation.emotion import Labels, Told, calibration_error, cooled, reliability, temperature
from emoca_jax.jobs.read_emotion import load_emotion_model, read_emotion
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES

CALIBRATED = 0.05
"""A temperature nearer to 1 than this changes nothing to be seen."""
LEAST = 5
"""Faces in a bin that is drawn."""
Shares = Float[np.ndarray, "faces 8"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fits", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    fits = read_fits(asked.fits)
    label = fits["label"].astype(int)
    logits = read_units(load_units_network(), jnp.asarray(fits["fitted"], jnp.float32), ARKIT_UNITS).expression_logits
    shares = {
        f"{OPEN_NETWORKS}, on the picture": in_eight(fits["photo"]),
        f"{UNITS_NETWORK}, on the fit": np.asarray(jax.nn.softmax(logits), np.float64),
    }
    heats = {name: chosen(told[CHOOSING], label[CHOOSING]) for name, told in shares.items()}
    print(f"{len(label[JUDGING])} drawn faces    temperature  accuracy  sureness    ECE   with it: sureness    ECE")
    for name, told in shares.items():
        row = told[JUDGING], cooled(told[JUDGING], heats[name])
        right = np.mean(row[0].argmax(-1) == label[JUDGING])
        before, after = (f"{told.max(-1).mean():8.2f} {error(told, label[JUDGING]):7.3f}" for told in row)
        print(f"{name:40} {heats[name]:5.2f} {right:8.2f} {before}        {after}")
    if asked.picture:
        draw(asked.picture, {name: told[JUDGING] for name, told in shares.items()}, label[JUDGING], heats)
    if asked.photos:
        told, right = on_photos(asked.photos)
        for heat in (1.0, heats[f"{OPEN_NETWORKS}, on the picture"]):
            sure = cooled(told, heat).max(-1).mean()
            print(f"{len(told)} photos, temperature {heat:.2f}: {right} right, sureness {sure:.2f}")


def in_eight(shares: Float[np.ndarray, "faces classes"]) -> Shares:
    """Contempt has no share in files of when the networks on the photo knew none: the last of the eight."""
    return np.pad(shares, ((0, 0), (0, len(AFFECTNET_CLASSES) - shares.shape[1])))


def chosen(told: Shares, label: Int[np.ndarray, "faces"]) -> float:
    """The temperature, by faces whose class the network knows: no sureness is right for the others."""
    known = (told.max(axis=0) > 0)[label]
    return temperature(told[known], label[known])


def error(told: Shares, label: Int[np.ndarray, "faces"]) -> float:
    return calibration_error(*as_judged(told, label))


def as_judged(told: Shares, label: Int[np.ndarray, "faces"]) -> tuple[Told, Labels]:
    unknown = np.full(len(label), np.nan)
    return Told(told, unknown, unknown), Labels(label, unknown, unknown)


def on_photos(folder: Path) -> tuple[Shares, int]:
    """What the open networks tell of labelled photos, and how many classes are acceptable."""
    model = load_emotion_model("open")
    labels = {name: row for name, row in json.loads((folder / "labels.json").read_text()).items() if name != "about"}
    told, right = [], 0
    for name, row in labels.items():
        (face,) = read_emotion(model, folder / name, faces="largest")
        reading = face.readings[0]
        told.append([reading.probabilities.get(key, 0.0) for key in AFFECTNET_CLASSES])
        right += reading.label in row["expression"]
    return np.array(told), right


def draw(path: Path, shares: dict[str, Shares], label: Int[np.ndarray, "faces"], heats: dict[str, float]) -> None:
    """A panel a network: share of right answers over sureness, as it is and with its temperature; below, how many."""
    figure, axes = plt.subplots(
        2, len(shares), figsize=(8.6, 5.2), constrained_layout=True, height_ratios=(3, 1), sharex=True, sharey="row"
    )
    for (axis, below), (name, told) in zip(axes.T, shares.items(), strict=True):
        axis.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1.2, label="as sure as right")
        kinds = [(ACCENT, "o", 1.0), (SECOND, "s", heats[name])]
        for colour, marker, heat in kinds if abs(heats[name] - 1) > CALIBRATED else kinds[:1]:
            row = cooled(told, heat)
            bins = [part for part in reliability(*as_judged(row, label)) if part.faces >= LEAST]
            said = "as it ships" if heat == 1.0 else f"temperature {heat:.2f}"
            axis.plot(
                [part.sure for part in bins], [part.right for part in bins], color=colour, marker=marker,
                markersize=4.5, linewidth=1.6, label=f"{said}: ECE {error(row, label):.2f}",
            )  # fmt: skip
            below.hist(row.max(-1), bins=20, range=(0, 1), color=colour, histtype="step", linewidth=1.4)
        dress(axis, name)
        dress(below, "")
        axis.set_ylim(0, 1)
        axis.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper left")
        below.set_xlabel("sureness: probability of the class that is told", color=FAINT, fontsize=9)
    axes[0, 0].set_ylabel("share told right", color=FAINT, fontsize=9)
    axes[1, 0].set_ylabel("faces", color=FAINT, fontsize=9)
    save(figure, path)


if __name__ == "__main__":
    main()
