"""Which texels show this face's skin, and the smooth colour of all of it.

Grown from the middle of the face: what was trusted gives the colour to expect beside it, and what has that colour is
trusted next. Hair, hands, spectacles, clothes and background begin where colour changes at once. Light, which changes
slowly, does not stop it. Everything is in the logarithm of the ratio of the photo's albedo to the albedo model's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from scipy.ndimage import minimum_filter, uniform_filter

from emoca_jax.texture.layout import TextureLayout
from emoca_jax.texture.painted import lip_paint
from emoca_jax.texture.surface import SkinSurface, screening

SMOOTH = 0.008
"""Metres over which colour counts as smooth: a brow is detail, a cheek's blush is not."""
REACH = 0.035
"""Metres from what was seen at which colour has gone back to the face's usual one."""
ROUNDS = 4
GRAIN = 3
"""Texels of 256 over which strangeness is averaged, some 3 mm on the face: pores, stubble and noise are no hair."""
EDGE = 5
"""Texels around what is strange that are not trusted either: half of such a pixel is skin."""
FEATHER = 5
"""Texels over which trust fades out."""
TINT = 2.5
"""How much more a deviation of tint counts than one of brightness, which shadows explain as well."""
WARM = np.array([1.0, -0.1, -0.9], np.float32) / np.float32(np.sqrt(1.82))
"""The tint that skin takes on in its shadows and loses where it shines: blood and a camera's curve keep red up, and
what shines is white. Hair, cloth and what is behind get darker in all channels alike."""
SHADOW = 11
"""Texels, 1.2 cm, over which that brightness is averaged."""
WARMTH = 0.7
"""The most of it to a change of brightness. Of the median skin to the median of nose and cheeks beside it, 11 photos:
.3 to 1."""
SHINE = 0.75
"""How much less it counts to be brighter: skin shines, and what covers it is mostly darker."""
STRANGE_LIPS, STRANGE_EYES, STRANGE_BEARD = 3.5, 1.0, 0.9
STRANGE_FACE, STRANGE_FOREHEAD, STRANGE_ELSEWHERE = 0.45, 0.35, 0.28
"""Deviation from the expected log ratio at which a texel is not trusted: on lips, brows and eyes, where beards grow,
elsewhere on the face, above the brows, and on ears, scalp and neck."""
ALIKE = 0.45
"""Deviation from the face's usual colour of what growing starts from."""
FROM_FITTED = 0.6
"""The same from the fitted skin, of what gives that usual colour."""
DARKER = 0.1
"""Log ratio from which brows, lashes, nostrils and beards are darker than skin: what is not is a streak or a finger."""
STEEP = 6
"""Power by which trust falls there."""
FROM_USUAL = 1.8
"""How much more a texel may deviate from the face's usual colour than from the one expected there."""
BEARD = (0.15, 0.25)
"""How much darker than cheeks, means of what is trusted, log ratio, a chin is without and with a beard: of ten photos
of people without one at most .14, with stubble .24."""
AROUND = 21
"""Texels, 2.5 cm, around a brow in which skin must be seen."""
LESS_THAN_MIRROR, MIRROR_SLACK, MIRROR_SLACK_FEATURE = 1.5, 0.25, 0.6
"""A texel that deviates so many times more than its mirror image, and by so much more than that, is not trusted."""
MIRROR_SEEN = 0.7
"""From how well the other side was seen this is asked."""
MIRRORED_SHARE = 0.15
"""What a place seen on the other side alone counts against one seen itself."""
FEWEST = 30
"""Texels of 256 x 256 of lips that tell their colour."""
SHOWN = 0.35
"""Share of a vertex's surroundings that must be trusted for trust to go on from there."""


@dataclass(frozen=True)
class TrustedSkin:
    """What `trusted_skin` finds."""

    trust: Float[np.ndarray, "coarse coarse"]
    """0 to 1, how far each of the coarse texels shows skin."""
    smooth: Float[np.ndarray, "vertices 3"]
    """Log ratio at the vertices of the skin."""
    usual: Float[np.ndarray, "3"]
    """Of the face."""
    seen: Float[np.ndarray, "vertices"]
    """Square metres trusted around each vertex."""
    eyeballs: Bool[np.ndarray, "vertices"]
    """Eyeballs that the head counts as skin: none where it has a part for them."""
    painted: Float[np.ndarray, "vertices"]
    """1 on lips, brows and around eyes, which may have any colour, 0 elsewhere."""
    beard: Float[np.ndarray, "vertices"]
    """1 where one shows."""
    spots: Float[np.ndarray, "vertices 3"]
    """Of the log ratio what `smooth` misses because it is smaller, down to SMOOTH."""
    lips: Float[np.ndarray, "3"]
    """What the usual log ratio of lips adds to `smooth`, zero where none were seen."""


class _Places(NamedTuple):
    """Maps of the layout over the coarse texels."""

    face: np.ndarray
    above_brows: np.ndarray
    brows_eyes: np.ndarray
    lips: np.ndarray
    nostrils: np.ndarray
    beard: np.ndarray
    chin: np.ndarray
    middle: np.ndarray
    mirror: np.ndarray
    mirror_weight: np.ndarray


def trusted_skin(
    surface: SkinSurface,
    layout: TextureLayout,
    ratio: Float[np.ndarray, "size size 3"],
    shading: Float[np.ndarray, "size size 3"],
    model: Float[np.ndarray, "size size 3"],
    sight: Float[np.ndarray, "size size"],
) -> TrustedSkin:
    """Which texels show skin.

    ratio, shading: logarithms of the ratio of the photo's albedo to the model's, and of the light that was divided out.
    What is judged is the photo with its light, because hair at the side of a face has already been taken for shadow.
    model: its albedo, above 0. sight: how well seen.
    """
    places = _places(layout, surface.coarse.size)
    ratio, shading, model, sight = (_pooled(x, surface.coarse.size) for x in (ratio, shading, model, sight))
    raw = ratio + shading
    dark_feature = np.maximum(places.brows_eyes, places.nostrils)
    feature = np.maximum(dark_feature, places.lips)
    core = sight * places.face * (1 - places.above_brows) * (1 - feature)
    bound = STRANGE_FACE + (STRANGE_FOREHEAD - STRANGE_FACE) * places.above_brows

    plain = _plain(places, ratio, raw, core, sight)
    trust = core * _like(_deviation(raw - plain, sight, places)[0], ALIKE)
    both, slack = _other(places, sight) > MIRROR_SEEN, MIRROR_SLACK + (MIRROR_SLACK_FEATURE - MIRROR_SLACK) * feature
    for _ in range(ROUNDS):
        # Painted lips would make a painted nail beside them expected.
        smoothed, _ = _smoother(surface, trust * (trust > 0.5) * (1 - places.lips))
        deviation, dark = _deviation(raw - surface.coarse.on(smoothed(raw, plain)), sight, places)
        shown = _shown_around(feature, trust, sight)
        here = bound + dark * _bearded(places, dark * deviation, sight) * places.beard * (STRANGE_BEARD - bound)
        here = places.face * here + (1 - places.face) * STRANGE_ELSEWHERE
        here = here + shown * dark * dark_feature * (STRANGE_EYES - here)
        here = here + shown * places.lips * (STRANGE_LIPS - here)
        here = np.minimum(here, np.where(both, LESS_THAN_MIRROR * _other(places, deviation) + slack, np.inf))
        trust = sight * _like(deviation, here)
        trust = trust * _reached(surface, trust, core)
    eyeballs = _eyeballs(surface, places)
    on_eyes = (surface.coarse.on(eyeballs.astype(np.float32)) > 0.5).astype(np.float32)
    trust = _feathered(np.maximum(trust, sight * on_eyes), sight)
    usual = _median(ratio, trust * core)
    # Lips and brows have colours of their own, which must not run into the skin around them.
    bare = trust * (1 - feature)
    of_bare, _ = _smoother(surface, bare)
    of_all, seen = _smoother(surface, trust)
    smooth = of_bare(ratio, usual)
    lips = _median_or_none(ratio - surface.coarse.on(smooth), trust * places.lips)
    on_lips = lip_paint(layout, model)[..., None] * lips
    smooth = smooth + of_all(ratio - surface.coarse.on(smooth) - on_lips, np.zeros(3))
    spots = of_bare(ratio - surface.coarse.on(smooth), np.zeros(3))
    beard = _dark_chin(places, ratio + np.log(model), bare) * places.beard
    painted, beard = (
        np.clip(surface.coarse.off(x, np.ones_like(x)) / np.maximum(surface.mass, 1e-12), 0, 1)
        for x in (feature, beard)
    )
    return TrustedSkin(trust, smooth, usual, seen, eyeballs, painted, beard, spots, lips)


def _places(layout: TextureLayout, size: int) -> _Places:
    whole = len(layout.skin)
    step = whole // size
    mirror, weight = (np.asarray(x)[::step, ::step] for x in (layout.mirror, layout.mirror_weight))
    rows, columns = np.divmod(mirror, whole)
    names = ("face", "above_brows", "brows_eyes", "lips", "nostrils", "beard", "chin", "middle")
    maps = [np.asarray(getattr(layout, name))[::step, ::step] for name in names]
    return _Places(*maps, mirror=rows // step * size + columns // step, mirror_weight=weight)


def _pooled(texture: Float[np.ndarray, "size size *channels"], size: int) -> Float[np.ndarray, "side side *channels"]:
    """Means over blocks."""
    step = len(texture) // size
    parts = [texture[row::step, column::step] for row in range(step) for column in range(step)]
    return functools.reduce(np.add, parts) / step**2


def _like(deviation: np.ndarray, bound: np.ndarray | float) -> np.ndarray:
    return 1 / (1 + (deviation / bound) ** STEEP)


def _shown_around(feature: np.ndarray, trust: np.ndarray, sight: np.ndarray) -> np.ndarray:
    """1 where skin is seen around brows, eyes and lips, 0 where that is covered: a fringe hides a brow, too."""
    plain = 1 - feature
    around = uniform_filter(plain * trust, AROUND) / np.maximum(uniform_filter(plain * sight, AROUND), 1e-3)
    return np.clip(2 * around - 0.5, 0, 1)


def _bearded(places: _Places, deviation: np.ndarray, sight: np.ndarray) -> float:
    """1 where the chin looks unlike skin, 0 where it is bare: then what is dark on the jaw is hair that hangs there."""
    chin = places.chin * (1 - places.lips) * sight
    strange = 1 - (chin * _like(deviation, STRANGE_FACE)).sum() / max(chin.sum(), 1e-3)
    return float(np.clip(2 * strange - 0.5, 0, 1))


def _dark_chin(places: _Places, skin: np.ndarray, weights: np.ndarray) -> float:
    """0 where the chin is as bright as the cheeks, 1 where a beard makes it dark. skin: logarithm of its colour."""
    chin, cheeks = weights * places.chin, weights * places.face * (1 - places.beard)
    if min(chin.sum(), cheeks.sum()) < 1:
        return 0.0
    chin, cheeks = ((x[..., None] * skin).sum() / (3 * x.sum()) for x in (chin, cheeks))
    return float(np.clip((cheeks - chin - BEARD[0]) / (BEARD[1] - BEARD[0]), 0, 1))


def _other(places: _Places, values: np.ndarray) -> np.ndarray:
    """Values of the other side."""
    return (places.mirror_weight * values.reshape(-1)[places.mirror]).sum(-1)


def _median(values: Float[np.ndarray, "side side 3"], weights: Float[np.ndarray, "side side"]) -> np.ndarray:
    chosen = weights > 0.5
    return np.median(values[chosen], axis=0) if chosen.any() else np.zeros(3, values.dtype)


def _median_or_none(values: Float[np.ndarray, "side side 3"], weights: Float[np.ndarray, "side side"]) -> np.ndarray:
    """The same, zero where too little was seen."""
    return _median(values, weights if (weights > 0.5).sum() > FEWEST else np.zeros_like(weights))


def _plain(
    places: _Places, ratio: np.ndarray, raw: np.ndarray, core: np.ndarray, sight: np.ndarray
) -> Float[np.ndarray, "3"]:
    """The face's usual colour in its light: of nose and cheeks, as far as they look like the skin that was fitted."""
    fitted = core * _like(_deviation(ratio, sight, places)[0], FROM_FITTED)
    return _median(raw, (fitted * places.middle > 0.5).astype(np.float32))


def _deviation(
    apart: Float[np.ndarray, "side side 3"],
    sight: Float[np.ndarray, "side side"],
    places: _Places,
) -> tuple[Float[np.ndarray, "side side"], Float[np.ndarray, "side side"]]:
    """How strange each texel looks, its grain averaged, and 1 where it is darker than expected, 0 where it is not."""
    mass = np.maximum(uniform_filter(sight, GRAIN), 1e-6)
    mean = uniform_filter(sight[..., None] * apart, GRAIN, axes=(0, 1)) / mass[..., None]
    brightness = (mean[..., 0] + mean[..., 1] + mean[..., 2]) / 3
    tint = mean - brightness[..., None]
    # Rims of spectacles are as brown as shadows, but not as broad; below the nose shadows of folds are narrow. A fringe
    # is as brown as the shadow that it casts.
    broad = uniform_filter(sight * brightness, SHADOW) / np.maximum(uniform_filter(sight, SHADOW), 1e-6)
    shadow = (1 - places.above_brows) * (broad + places.beard * (brightness - broad))
    warm, most = tint @ WARM, -WARMTH * shadow
    held = np.clip(warm, np.minimum(most, 0), np.maximum(most, 0))
    tint = tint - held[..., None] * WARM
    strange = np.where(brightness > 0, SHINE * brightness, brightness)
    dark = np.clip(-brightness / DARKER, 0, 1)
    return np.sqrt(strange**2 + TINT**2 * np.einsum("...k,...k->...", tint, tint)), dark


def _smoother(
    surface: SkinSurface, trust: np.ndarray
) -> tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], Float[np.ndarray, "vertices"]]:
    """A log ratio on texels and its usual value to smooth colour at the vertices; on how much area each was seen."""
    seen = surface.coarse.off(np.ones_like(trust), trust)
    # What only the other side shows is asked for there, weakly: at its border the own side's colour wins.
    lack = MIRRORED_SHARE * np.clip(1 - seen / np.maximum(surface.mass, 1e-12), 0, 1)
    every = seen + lack * (surface.mirror @ seen)
    solve = screening(surface, every, smooth=SMOOTH, reach=REACH)

    def smoothed(ratio: np.ndarray, usual: np.ndarray) -> np.ndarray:
        total = surface.coarse.off(ratio, trust)
        total = total + lack[:, None] * (surface.mirror @ total)
        return solve(total / np.maximum(every, 1e-12)[:, None], usual)

    return smoothed, seen


def _reached(surface: SkinSurface, trust: np.ndarray, core: np.ndarray) -> Float[np.ndarray, "side side"]:
    """1 on texels that trusted skin connects with the middle of the face, else 0."""
    mass = np.maximum(surface.mass, 1e-12)
    shown, middle = (surface.coarse.off(np.ones_like(x), x) / mass > SHOWN for x in (trust, core))
    shown = shown | middle
    kept = sparse.diags_array(shown.astype(float))
    _, label = sparse.csgraph.connected_components(kept @ surface.stiffness @ kept, directed=False)
    kept = shown & np.isin(label, np.unique(label[middle]))
    return (surface.coarse.on(kept.astype(np.float32)) > 0.4).astype(np.float32)


def _eyeballs(surface: SkinSurface, places: _Places) -> Bool[np.ndarray, "vertices"]:
    """Vertices of eyeballs that are pieces of the skin, as FLAME's are: no skin leads there, and they look like none.

    A piece is one where most of it lies around the eyes.
    """
    _, label = sparse.csgraph.connected_components(surface.stiffness, directed=False)
    eye = surface.coarse.off(np.ones_like(places.brows_eyes), places.brows_eyes)
    share = np.bincount(label, eye) / np.maximum(np.bincount(label, surface.mass), 1e-12)
    return (share > 0.5)[label]


def _feathered(trust: np.ndarray, sight: np.ndarray) -> np.ndarray:
    """Trust taken back from the edges of what is strange, and faded out there."""
    like = np.where(sight > 0, trust / np.maximum(sight, 1e-6), 1.0)
    return sight * np.minimum(like, uniform_filter(minimum_filter(like, EDGE), FEATHER))
