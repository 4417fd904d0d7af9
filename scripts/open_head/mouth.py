"""What lies behind the lips stays there: lining and teeth follow the face around them, lips that touch keep touching."""

from __future__ import annotations

import numpy as np

from .lips import CONTACT, LOOP_STARTS, SHARE, Lips
from .mesh import HeadMesh
from .regions import socket_faces
from .units import UNITS

PARTING = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "tongueOut",
)  # fmt: skip
"""Units that part the lips, or close what jawOpen parted; ARKit's pictures of all others show a closed mouth."""
OVERLAP = 0.005
"""Decimetres that the lips press into each other, so that no light shows between them."""
NEAREST_REACH = 0.03
"""Decimetres over which the lining looks for skin, at least: it lies 4 to 10 mm under it."""
FOLLOW = (0.12, 0.3)
"""Decimetres from the skin up to which the lining follows it altogether, and from which not at all."""
NEAR_TEETH = 0.1
"""Decimetres from a row of teeth within which the lining says how large the mouth is."""
ARCH_FRONT, ARCH_BACK = 0.18, -0.2
"""Depth (z, decimetres) from which a row of teeth is narrowed, and where it is narrowed altogether: canines, molars."""
ARCH_NARROWED = (0.82, 0.8)
"""Width of the upper and the lower row there over MakeHuman's: with NARROWED 48 and 43 mm over the last molars. Adults have 50 to 60
(Burris and Harris 2000), but the cheeks of a dropped jaw come nearer here than theirs, and molars show through them."""
NARROWED, FURTHER_BACK = (0.95, 0.86), (0.008, 0.02)
"""Width of the upper and the lower row on top of that, and decimetres that they stand further back: canines are where
the skin of a laughing or calling mouth is thinnest."""
TOOTH_LEVELS, GUM_LINE = 10, 3
"""Rows of vertices of `mesh._teeth`, and the one where a tooth leaves its gum."""
CROWN_GROWS = (0.19, 0.0)
"""How much longer the upper and the lower front teeth are than MakeHuman's: upper ones 9.9 mm instead of 8.3 (adults': 10 to 11;
Magne, Gallucci and Belser 2003). A smile's lower lip touches their edge; shorter ones leave a dark gap."""
SMILE_RAISES = 0.034
"""Decimetres that a full smile lifts the middle of the lips' line beyond MakeHuman's .046, at constant outer borders: the
upper lip of adults who smile goes up by 7 to 8 mm and grows thinner, and upper teeth fill the mouth (Peck, Peck and
Kataja 1992). MakeHuman's leaves half of their height behind the lip, and a dark gap under them."""
SMILE_REACH = 0.04
"""Decimetres from the lips' line at which e times less is lifted; the upper lip is .09 high."""
SMILE_BLEND = 0.08
"""Decimetres to either side of the middle over which one side's smile fades."""
GUM_KEPT = (0.25, 0.4)
"""Height of the upper and the lower gum over MakeHuman's, which reach to the nose's wings and to the chin."""


def _short_gums(template: np.ndarray, mesh: HeadMesh) -> np.ndarray:
    """Teeth with gums that end behind the lips: what is beyond, nobody sees."""
    shortened = template.copy()
    for row, kept in zip(mesh.teeth, GUM_KEPT, strict=True):
        levels = row.reshape(TOOTH_LEVELS, -1)
        for gum in levels[:GUM_LINE]:
            shortened[gum] += (1 - kept) * (template[levels[GUM_LINE]] - template[gum])
    return shortened


def lengthen_teeth(template: np.ndarray, mesh: HeadMesh) -> np.ndarray:
    """The template [V, 3] in decimetres with front teeth as long as people's, from the gum on; molars keep their height."""
    longer = template.copy()
    for row, grows in zip(mesh.teeth, CROWN_GROWS, strict=True):
        levels = row.reshape(TOOTH_LEVELS, -1)
        for crown in levels[GUM_LINE + 1 : -1]:
            front = np.clip((template[crown, 2] - ARCH_BACK) / (ARCH_FRONT - ARCH_BACK), 0, 1)
            longer[crown, 1] += grows * front * (template[crown, 1] - template[levels[GUM_LINE], 1])
    return longer


def narrow_teeth(template: np.ndarray, mesh: HeadMesh) -> np.ndarray:
    """The template [V, 3] in decimetres with both rows of teeth narrower at the back, gums short."""
    narrowed = _short_gums(template, mesh)
    for row, width in zip(mesh.teeth, ARCH_NARROWED, strict=True):
        back = np.clip((ARCH_FRONT - template[row, 2]) / (ARCH_FRONT - ARCH_BACK), 0, 1)
        narrowed[row, 0] *= 1 - (1 - width) * back**0.5
    for row, width, behind in zip(mesh.teeth, NARROWED, FURTHER_BACK, strict=True):
        narrowed[row, 0] *= width
        narrowed[row, 2] -= behind
    return narrowed


def follow_face(shape_dirs: np.ndarray, template: np.ndarray, mesh: HeadMesh, lips: Lips) -> np.ndarray:
    """Identity [V, 3, S] with the mouth's lining as far behind the skin, and the teeth behind the lips, as on average.

    template in decimetres. Modelled independently, thin lips and deep folds of some people let the lining through.
    """
    followed = shape_dirs.copy()
    skin = np.unique(mesh.faces[(mesh.face_part == 0) & ~socket_faces(mesh)])
    lining = np.setdiff1d(mesh.faces[mesh.face_part == 4], mesh.faces[mesh.face_part == 0])
    gap = np.linalg.norm(template[lining][:, None] - template[skin][None], axis=-1)
    reach = np.maximum(gap.min(1, keepdims=True), NEAREST_REACH)
    weight = np.exp(-((gap / reach) ** 2))
    weight /= weight.sum(1, keepdims=True)
    share = np.clip((FOLLOW[1] - gap.min(1)) / (FOLLOW[1] - FOLLOW[0]), 0, 1)[:, None, None]
    around = np.einsum("lk,kcs->lcs", weight, shape_dirs[skin])
    followed[lining] = share * around + (1 - share) * shape_dirs[lining]

    sealed = _joined(followed, template, lips)
    contact = np.concatenate([lips.lower[CONTACT], lips.upper[CONTACT]])
    for row in mesh.teeth:
        distance = np.linalg.norm(template[lining][:, None] - template[row][None], axis=-1).min(1)
        near = lining[distance < NEAR_TEETH]
        across, ahead = template[near, 0], template[near, 2] - template[row, 2].max()
        sealed[row, 1] = sealed[contact, 1].mean(0)
        # A row of teeth keeps its shape: it moves as one, and grows wider or deeper as the mouth around it does.
        for axis, along in ((0, across), (2, ahead)):
            design = np.stack([np.ones(len(near)), along], 1)
            place, growth = np.linalg.lstsq(design, sealed[near, axis], rcond=None)[0]
            own = template[row, 0] if axis == 0 else template[row, 2] - template[row, 2].max()
            sealed[row, axis] = place + own[:, None] * growth
    return sealed


def seal_template(template: np.ndarray, lips: Lips) -> np.ndarray:
    """The head [V, 3], decimetres, with its lips touching along their whole line, OVERLAP into each other.

    The build seals vertex by vertex, and vertices of the two lips do not stand above each other: slits were left.
    """
    return _joined(template[..., None], template, lips, gap=-OVERLAP)[..., 0]


def raise_smile(expression_dirs: np.ndarray, template: np.ndarray, mesh: HeadMesh, lips: Lips) -> np.ndarray:
    """Units [V, 3, U], decimetres, whose smiles lift the line between the lips further, and the borders of the lips not.

    Both lips are lifted by the same field, so that a closed smile stays closed.
    """
    raised = expression_dirs.copy()
    line = np.unique(np.concatenate([lips.lower[CONTACT], lips.upper[CONTACT]]))
    around = np.unique(mesh.faces[np.isin(mesh.face_part, (0, 4))])
    distance = np.linalg.norm(template[around][:, None] - template[line][None], axis=-1).min(1)
    across = template[around, 0]
    corner = np.abs(template[line, 0]).max()
    lift = SMILE_RAISES * np.exp(-((distance / SMILE_REACH) ** 2)) * np.clip(1 - (across / corner) ** 2, 0, 1)
    for side, sign in (("Left", 1), ("Right", -1)):
        share = np.clip(0.5 + sign * across / (2 * SMILE_BLEND), 0, 1)
        raised[around, 1, UNITS.index(f"mouthSmile{side}")] += lift * share**2 * (3 - 2 * share)
    return raised


def seal_units(expression_dirs: np.ndarray, template: np.ndarray, lips: Lips) -> np.ndarray:
    """Units [V, 3, U] that leave closed lips closed: only PARTING ones open a gap.

    As every closed unit leaves the two lips' edges together, so does any sum of them.
    """
    joined = _joined(expression_dirs, template, lips)
    return np.where(np.isin(UNITS, PARTING), expression_dirs, joined)


def _joined(moves: np.ndarray, template: np.ndarray, lips: Lips, gap: float = 0.0) -> np.ndarray:
    """Moves [V, 3, D] under which what touches stays together, both lips meeting half way.

    Places on the two lips' edges belong together where they stand above each other in the template. Rings of vertices
    around the edge take part by SHARE. gap: height of the upper over the lower edge, where the moves are places.
    """
    joined = moves.copy()
    half = lips.lower.shape[1] // 2
    for part in (slice(0, half), slice(half, None)):
        edges = [loops[CONTACT, part] for loops in (lips.lower, lips.upper)]
        for loops, own, other, sign in ((lips.lower, *edges, 1), (lips.upper, *edges[::-1], -1)):
            change = (_above(moves, template, other, own) - moves[own]) / 2
            change[:, 1] -= sign * gap / 2
            for row, start in enumerate(LOOP_STARTS):
                vertices = loops[row, part]
                joined[vertices] = moves[vertices] + SHARE.get(start, 0.0) * change
    return joined


def _above(moves: np.ndarray, template: np.ndarray, edge: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Moves [N, 3, D] of the places on a lip's edge, from its middle to its corner, above or below the vertices."""
    along = np.maximum.accumulate(np.abs(template[edge, 0]))
    place = np.clip(np.abs(template[vertices, 0]), 0, along[-1])
    after = np.clip(np.searchsorted(along, place), 1, len(edge) - 1)
    share = (place - along[after - 1]) / np.maximum(along[after] - along[after - 1], 1e-9)
    share = np.clip(share, 0, 1)[:, None, None]
    return (1 - share) * moves[edge[after - 1]] + share * moves[edge[after]]
