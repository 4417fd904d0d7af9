"""Draws docs/pictures/open_head_sheet.png: random people of the open head (rows) with some expressions (columns)."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import emoca_jax as ej
from emoca_jax.fit.light import ambient_light

OUTPUT = Path(__file__).parents[1] / "docs" / "pictures" / "open_head_sheet.png"
PEOPLE, SEED, SPREAD, SIDE = 6, 7, 0.8, 200
TURNED = 0.6
"""Radians the first column is turned by."""
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral, turned": {},
    "neutral": {},
    "smile": {"mouthSmile": 0.8, "cheekSquint": 0.5, "jawOpen": 0.12},
    "surprise": {"jawOpen": 0.6, "browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.7},
    "anger": {"browDown": 0.9, "noseSneer": 0.5, "mouthPress": 0.4, "eyeSquint": 0.4},
    "sadness": {"browInnerUp": 0.8, "mouthFrown": 0.8, "mouthShrugLower": 0.3},
    "eyes shut": {"eyeBlink": 1.0},
    "pucker": {"mouthPucker": 0.9},
    "jaw open": {"jawOpen": 1.0},
}


def main() -> None:
    head = ej.load_head("open")
    assert head.albedo is not None
    decode = jax.jit(ej.decode, static_argnums=2)
    random = np.random.default_rng(SEED)
    light = ambient_light() * 0.75
    light = light.at[2].add(0.2).at[3].add(0.45).at[1].add(0.15)
    rows = []
    for _ in range(PEOPLE):
        shape = jnp.asarray(random.normal(size=head.shape_dirs.shape[-1]) * SPREAD, jnp.float32)
        albedo = jnp.asarray(random.normal(size=len(head.albedo.names)).clip(-1.5, 1.5), jnp.float32)
        tiles = []
        for name, units in EXPRESSIONS.items():
            codes = ej.Codes(
                shape=shape,
                expression=_activations(head.expression_names, units),
                pose=jnp.array([[0.0, TURNED if "turned" in name else 0.0, 0.0], [0.0, 0.0, 0.0]]),
                jaw=jnp.zeros(3),
                eyes=jnp.zeros((2, 3)),
                camera=jnp.array([7.0, 0.0, 0.02]),
                light=light,
                albedo=albedo,
            )
            drawn = decode(head, codes, (2 * SIDE, 2 * SIDE))
            tile = np.asarray(drawn.rendering) + (1 - np.asarray(drawn.alpha)[..., None]) * 0.94
            tiles.append(tile.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3)))
        rows.append(np.concatenate(tiles, axis=1))
    sheet = Image.fromarray(np.round(np.clip(np.concatenate(rows), 0, 1) * 255).astype(np.uint8))
    for column, name in enumerate(EXPRESSIONS):
        ImageDraw.Draw(sheet).text((column * SIDE + 6, 4), name, "black", ImageFont.load_default(14))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(OUTPUT)


def _activations(names: tuple[str, ...], units: dict[str, float]) -> jax.Array:
    """Activations [52] from values by name stem, both sides alike."""
    return jnp.asarray(
        [max((v for u, v in units.items() if n in (u, f"{u}Left", f"{u}Right")), default=0.0) for n in names],
        jnp.float32,
    )


if __name__ == "__main__":
    main()
