"""How much of a texture is the person's skin, and how near its colour is to the truth, on drawn people:

    python benchmarks/texture.py [--people 12] [--seed 7]

Every person of the open faces is drawn from the front, turned by 30 and by 60 degrees, with hair, spectacles, beards,
lamps and shine as their recipe has them, and reconstructed as `emoca reconstruct` does. Printed:

- trusted: the share of the face's skin in sight that is taken from the photo
- covered: of what is taken for skin, the share where the photo shows hair, spectacles, clothes or background
- error: of the skin's own colour against the true texture, mean absolute difference of the channels (1 = white), where
  it was in sight, on the hidden side of the face, and on ears, neck and scalp; before it, one gain for the whole face
  makes both as bright, as one photo cannot tell how bright its light is
- patches: standard deviation of the same, log ratio, over patches of a centimetre against the face's mean error
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

# data_pipelines and the package are beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

import emoca_jax as ej
from data_pipelines.open_faces.draw import Studio, draw, studio
from data_pipelines.open_faces.sensor import jpeg, opened
from data_pipelines.open_faces.skin import texture
from data_pipelines.open_faces.views import view_from
from emoca_jax.capture.found_faces import found_faces
from emoca_jax.capture.images import as_photo
from emoca_jax.errors import InputError
from emoca_jax.jobs.assemble import measured
from emoca_jax.jobs.look import cut_plane, look
from emoca_jax.jobs.open_model import fit_face, picture_of
from emoca_jax.objectives.photo import FitWeights
from emoca_jax.texture.layout import TEXTURE_SIZE, TextureLayout
from emoca_jax.texture.unwrap import FLOOR, Observed, UnwrappedTexture, completed

SIZE = 320
"""Pixels a side of a picture: the face is 145 high."""
SIDES = (0, 30, 60)
SKIN = 1
"""Of `MASK_NAMES`; what follows to the mouth's inside is the head's own as well."""
OWN = 5
PATCH = 10
"""Texels, half a centimetre, over which patches are averaged."""


class Case(NamedTuple):
    """One drawn face: what is looked up of it, and the truth."""

    seen: Observed
    crop: Float[np.ndarray, "3 3"]
    truth: Float[np.ndarray, "size size 3"]
    mask: UInt8[np.ndarray, "pixels pixels"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--seed", type=int, default=7)
    asked: Any = parser.parse_args()
    made, model = studio(), ej.load_model("open")
    table: dict[int, list[dict[str, float]]] = {side: [] for side in SIDES}
    for person in range(asked.people):
        for view, side in enumerate(SIDES):
            found = case(made, model, asked.seed, person, view, side)
            if found is not None:
                table[side].append(scores(model.layout, found, completed(model.layout, model.surface, found.seen)))
    print_table(table)


def case(made: Studio, model: Any, seed: int, person: int, view: int, side: int) -> Case | None:
    """None where no face is found."""
    yaw = float(side * np.random.default_rng([seed, person, view]).choice([-1, 1]))
    recipe = view_from(made.head, seed, person, view, yaw)
    drawn = jax.device_get(draw(made, recipe, size=SIZE))
    picture = as_photo(opened(jpeg(np.asarray(drawn.image), int(recipe.camera.quality))))
    try:
        (found,) = found_faces(model.detector, picture, "largest")
    except InputError:
        return None
    seen = look(model.expression, found, person=model.person)
    crop = np.asarray(seen.to_pixels)
    codes = jax.tree.map(np.asarray, fit_face(model, seen, FitWeights(), picture_of(model, seen)).codes)
    looked_up = measured(model, found, seen, codes, cut_plane(found.photo, crop, TEXTURE_SIZE)).texture
    painted = texture(made.head, made.maps, recipe.skin, recipe.codes.albedo, recipe.codes.expression)
    size = len(model.layout.skin)
    truth = np.clip(np.asarray(jax.image.resize(painted, (size, size, 3), "linear")), 0, 1)
    return Case(looked_up, crop, truth, np.asarray(drawn.mask))


def scores(layout: TextureLayout, found: Case, got: UnwrappedTexture) -> dict[str, float]:
    skin, face = np.asarray(layout.skin) > 0, np.asarray(layout.face) > 0.5
    pixel = np.asarray(found.seen.place) * found.crop[0, 0] + found.crop[:2, 2]
    column, row = (np.clip(np.floor(pixel[..., k]).astype(int), 0, SIZE - 1) for k in (0, 1))
    shown = found.mask[row, column]
    own = (shown >= SKIN) & (shown <= OWN)
    sight, trust = np.asarray(found.seen.sight), got.visible * skin
    there = sight > 0.5

    truth, albedo = np.log(found.truth + FLOOR), np.log(got.albedo + FLOOR)
    gain = np.median((truth - albedo).mean(-1)[skin & face])
    wrong = np.abs(np.exp(albedo + gain) - np.exp(truth)).mean(-1)
    apart = (albedo + gain - truth)[..., :3].mean(-1)
    inside = (skin & face & (np.asarray(layout.brows_eyes) + np.asarray(layout.lips) < 0.1)).astype(float)
    mass = np.maximum(gaussian_filter(inside, PATCH), 1e-3)
    patches = gaussian_filter(inside * apart, PATCH) / mass
    hidden = skin & face & (sight == 0)
    # Of a photo without colour nobody can tell it.
    coloured = 1.0 if np.asarray(found.seen.colour) > 0.5 else np.nan
    return {
        "trusted": float((trust * face * own * there).sum() / max((skin & face & own & there).sum(), 1)),
        "covered": float((trust * ~own).sum() / max(trust.sum(), 1)),
        "seen": coloured * float(wrong[skin & face & there].mean()),
        "hidden": coloured * float(wrong[hidden].mean()) if hidden.sum() > 1000 else np.nan,
        "elsewhere": coloured * float(wrong[skin & ~face].mean()),
        "patches": float(patches[inside > 0].std()),
    }


def print_table(table: dict[int, list[dict[str, float]]]) -> None:
    names = list(next(rows[0] for rows in table.values() if rows))
    print(f"{'degrees':8} {'faces':>6} " + " ".join(f"{name:>10}" for name in names))
    every = [row for rows in table.values() for row in rows]
    for side, rows in [*table.items(), ("all", every)]:
        means = [np.nanmean([row[name] for row in rows]) for name in names]
        print(f"{side!s:8} {len(rows):6} " + " ".join(f"{mean:10.4f}" for mean in means))


if __name__ == "__main__":
    main()
