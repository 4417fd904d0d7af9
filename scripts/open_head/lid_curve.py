"""Lids that mean what ARKit's units say: half a blink leaves half of the eye, in every identity."""

from __future__ import annotations

import numpy as np

from .eyeballs import OPENING_SHARE, lid_margins, lift_lids, rings_around, sphere
from .mesh import HeadMesh
from .regions import lid_corners
from .ties import first_smallest, first_smallest_of_each
from .units import UNITS

KEEP_OPENING = 0.4
"""What identity keeps of the height of its eye opening: the less, the more nearly does one blink fit everyone."""
BLINK_OVERLAP = 0.0075
"""Decimetres that the upper lid of a shut eye reaches below the lower one's edge on the average head: an eighth of the
opening, as eyes of other people are up to that much larger."""
BLINK_SCALES = (0.5, 1.2)
GAIN = {"eyeSquint": 0.7, "eyeLookDown": 0.62}
"""Of what the skin does, so that half a blink with half a look down and a squint leaves some of the eye."""
ON_THE_WAY = (0.6, 1.0)
"""Shares of a blink at which a lid's depth before its eyeball is made the same for all."""
LAID_SHARE = (1.0, 1.0, 0.9, 0.6, 0.3)
"""How much of that the rings of vertices from the lid's edge outwards take part in."""
LOOSE = 0.02
"""Weight, beside a lid vertex, of where identity itself would put an eyeball and how large it would make it."""


def lid_units(units: np.ndarray, template: np.ndarray, mesh: HeadMesh) -> np.ndarray:
    """Units [V, 3, U], decimetres, whose blink brings the lids' edges together along the whole eye and no further."""
    tuned = units.copy()
    eyeballs = np.concatenate(mesh.eyes)
    for index, name in enumerate(UNITS):
        gain = GAIN.get(name.removesuffix("Left").removesuffix("Right"))
        if gain is not None:
            kept = units[eyeballs, :, index]
            tuned[..., index] *= gain
            tuned[eyeballs, :, index] = kept
    for margin, side, name in zip(lid_margins(mesh), (1, -1), ("Left", "Right"), strict=True):
        index = UNITS.index(f"eyeBlink{name}")
        place, scale = _blink_scale(units[..., index], template, margin, mesh, side)
        tuned[..., index] *= np.interp(side * template[:, 0], place, scale)[:, None]
    return lift_lids(tuned, template, mesh)


def _blink_scale(
    blink: np.ndarray, template: np.ndarray, margin: np.ndarray, mesh: HeadMesh, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places across the eye (outwards, decimetres) and what the blink has to be multiplied by there."""
    upper, lower, across = _lids(template, margin, mesh, side)
    place = np.linspace(*across, 9)[1:-1]

    def along(lid: np.ndarray, values: np.ndarray) -> np.ndarray:
        order = np.argsort(side * template[lid, 0], kind="stable")
        return np.interp(place, side * template[lid[order], 0], values[lid[order]])

    opening = along(upper, template[:, 1]) - along(lower, template[:, 1])
    closing = along(lower, blink[:, 1]) - along(upper, blink[:, 1])
    scale = np.clip((opening + BLINK_OVERLAP) / np.maximum(closing, 1e-6), *BLINK_SCALES)
    padded = np.pad(scale, 1, mode="edge")
    return place, (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def _lids(
    template: np.ndarray, margin: np.ndarray, mesh: HeadMesh, side: int
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Edge vertices of the upper and of the lower lid, and where (outwards) the eye begins and ends."""
    inner, outer = lid_corners(mesh, template, side)
    along = (template[margin, 0] - inner[0]) / (outer[0] - inner[0])
    above = template[margin, 1] > inner[1] + along * (outer[1] - inner[1])
    return margin[above], margin[~above], (side * inner[0], side * outer[0])


def even_identity(shape_dirs: np.ndarray, units: np.ndarray, template: np.ndarray, mesh: HeadMesh) -> np.ndarray:
    """Identity [V, 3, S] with eye openings more alike, and eyeballs that stay behind lids wherever these are.

    units: as `lid_units` leaves them.
    """
    evened = shape_dirs.copy()
    skin = mesh.faces[mesh.face_part == 0]
    for margin, eye, side, name in zip(lid_margins(mesh), mesh.eyes, (1, -1), ("Left", "Right"), strict=True):
        corner = [first_smallest(np.linalg.norm(template - c, axis=1)) for c in lid_corners(mesh, template, side)]
        across = template[margin, 0] - template[corner[0], 0]
        along = (across / (template[corner[1], 0] - template[corner[0], 0]))[:, None]
        inner, outer = shape_dirs[corner, 1]
        height = shape_dirs[margin, 1] - inner - along * (outer - inner)
        for ring, share in zip(rings_around(skin, margin, len(OPENING_SHARE)), OPENING_SHARE, strict=True):
            nearest = first_smallest_of_each(np.linalg.norm(template[ring][:, None] - template[margin][None], axis=-1))
            evened[ring, 1] += share * (KEEP_OPENING - 1) * height[nearest]
        blink = units[..., UNITS.index(f"eyeBlink{name}")]
        evened[eye] = _seated(evened, template, blink, margin, eye, mesh)
        _lay_on(evened, template, blink, rings_around(skin, margin, len(LAID_SHARE)), eye, mesh)
    return evened


def _lay_on(
    shape_dirs: np.ndarray, template: np.ndarray, blink: np.ndarray, rings: list[np.ndarray], eye: np.ndarray,
    mesh: HeadMesh,
) -> None:  # fmt: skip
    """Change identity [V, 3, S] so that lids on their way down stay as far outside their eyeball as on average."""
    centre, radius = sphere(template, mesh, eye)
    of_centre, growth = _as_sphere(shape_dirs[eye], template, centre, radius, eye, mesh)
    for ring, share in zip(rings, LAID_SHARE, strict=True):
        for way in ON_THE_WAY:
            out = template[ring] + way * blink[ring] - centre
            out /= np.linalg.norm(out, axis=1, keepdims=True)
            apart = np.einsum("vc,vcs->vs", out, shape_dirs[ring] - of_centre) - growth
            shape_dirs[ring] -= share * out[..., None] * apart[:, None]


def _as_sphere(
    moves: np.ndarray, template: np.ndarray, centre: np.ndarray, radius: float, eye: np.ndarray, mesh: HeadMesh
) -> tuple[np.ndarray, np.ndarray]:
    """How moves of an eyeball's vertices [N, 3, S] move its centre [3, S] and change its radius [S]."""
    of_centre = moves[np.abs(mesh.eye_offsets[eye, 2]) < 1e-6].mean(0)
    arms = (template[eye] - centre) / radius
    return of_centre, np.einsum("nc,ncs->s", arms, moves - of_centre) / np.sum(arms**2)


def _seated(
    shape_dirs: np.ndarray, template: np.ndarray, blink: np.ndarray, margin: np.ndarray, eye: np.ndarray,
    mesh: HeadMesh,
) -> np.ndarray:  # fmt: skip
    """Identity of an eyeball [N, 3, S]: moved and scaled so that its lids stay as far outside it, open or shut."""
    centre, radius = sphere(template, mesh, eye)
    out = np.concatenate([template[margin] + share * blink[margin] - centre for share in (0.0, 0.5, 1.0)])
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    design = np.concatenate([out, np.ones((len(out), 1))], 1)
    wanted = np.einsum("mc,mcs->ms", out, np.tile(shape_dirs[margin], (3, 1, 1)))
    arms = (template[eye] - centre) / radius
    of_centre, growth = _as_sphere(shape_dirs[eye], template, centre, radius, eye, mesh)
    own = np.concatenate([of_centre, growth[None]])
    loose = LOOSE * len(out) * np.eye(4)
    found = np.linalg.solve(design.T @ design + loose, design.T @ wanted + loose @ own)
    return found[:3] + arms[:, :, None] * found[3]
