"""Identity space: random people from MakeHuman's macro and detail targets, aligned, then PCA split by symmetry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh

from .mesh import HeadMesh, indicator
from .source import MAKEHUMAN, BaseMesh, Source
from .ties import first_largest

JOINT_CUBES = {"global": "joint-neck", "neck": "joint-head", "jaw": "joint-mouth"}
"""MakeHuman marks joints by small helper cubes; their centres are the joints."""
RACES = ("african", "asian", "caucasian")
AGES = ("child", "young", "old")
MUSCLE, WEIGHT = ("minmuscle", "averagemuscle", "maxmuscle"), ("minweight", "averageweight", "maxweight")
DETAIL_FOLDERS = ("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
SIGMA = {"head": 0.06, "forehead": 0.06, "neck": 0.06, "asym": 0.12}
"""Standard deviation of a detail modifier; larger ones on the skull give cone heads."""
SIGMA_DETAIL = 0.2
SIGMA_LIDS = 0.07
"""Modifiers that open or close the eye at rest: kept small, because the expression units already say that."""
LID_MODIFIERS = ("eye-height1", "eye-height2", "eye-height3")
ONE_SIDED = 0.25
"""Share of a left-right pair's deviation that is drawn for each side alone."""
OPPOSITES = (
    ("incr", "decr"), ("up", "down"), ("out", "in"), ("forward", "backward"), ("convex", "concave"),
    ("uncompress", "compress"), ("l", "r"),
)  # fmt: skip
CHILD_SHARE = 0.12
TEETH_NARROWED = 0.93
"""MakeHuman's rows of teeth touch the cheeks and the corners of the lips and come through them."""


@dataclass(frozen=True)
class Person:
    """Macro coordinates in [0, 1] as MakeHuman uses them (age: .19 child, .5 young adult, 1 old)."""

    races: np.ndarray
    gender: float
    age: float
    muscle: float
    weight: float


AVERAGE = Person(np.full(3, 1 / 3), 0.5, 0.58, 0.5, 0.5)


class Targets:
    """MakeHuman's targets carried to the head and, after its vertices, to its three joints; loaded on first use."""

    def __init__(self, source: Source, base: BaseMesh, mesh: HeadMesh):
        self.source, self.base, self.mesh = source, base, mesh
        joints = np.stack([indicator(base.group(cube), len(base.vertices)) for cube in JOINT_CUBES.values()])
        self.rows = sp.csr_matrix(sp.vstack([mesh.rows, sp.csr_matrix(joints)]))
        self.row: dict[str, int] = {}
        self.offsets: list[np.ndarray] = []

    def index(self, name: str) -> int:
        if name not in self.row:
            offsets = self.source.target(f"{MAKEHUMAN}targets/{name}.target.gz", len(self.base.vertices))
            self.row[name] = len(self.offsets)
            self.offsets.append(carry(self.mesh, self.base, offsets, self.rows).astype(np.float32))
        return self.row[name]

    def blend(self, mixtures: list[dict[str, float]]) -> np.ndarray:
        """Offsets [N, V + 3, 4] of weighted sums of targets."""
        columns = [{self.index(name): weight for name, weight in mixture.items()} for mixture in mixtures]
        weights = np.zeros((len(mixtures), len(self.offsets)), np.float32)
        for row, mixture in enumerate(columns):
            weights[row, list(mixture)] = list(mixture.values())
        flat = np.stack(self.offsets).reshape(len(self.offsets), -1)
        return (weights @ flat).reshape(len(mixtures), -1, 4)


def macro(person: Person) -> dict[str, float]:
    """MakeHuman's macro targets for a person, by weight."""
    mixture: dict[str, float] = {}
    for gender, wg in (("female", 1 - person.gender), ("male", person.gender)):
        for age, wa in _age_weights(person.age):
            for race, wr in zip(RACES, person.races, strict=True):
                mixture[f"macrodetails/{race}-{gender}-{age}"] = wg * wa * wr
            for muscle, wm in _three(MUSCLE, person.muscle):
                for weight, ww in _three(WEIGHT, person.weight):
                    mixture[f"macrodetails/universal-{gender}-{age}-{muscle}-{weight}"] = wg * wa * wm * ww
    return mixture


def carry(mesh: HeadMesh, base: BaseMesh, offsets: np.ndarray, rows: sp.csr_matrix | None = None) -> np.ndarray:
    """MakeHuman offsets [19158, 3] as [V, 4]: of vertices (of the eyes: their centre), then the eyeball's growth."""
    moved = (mesh.rows if rows is None else rows) @ offsets
    carried = np.zeros((len(moved), 4))
    carried[:, :3] = moved
    for vertices, helper in zip(mesh.eyes, mesh.helper_eyes, strict=True):
        arms = base.vertices[helper] - base.vertices[helper].mean(0)
        carried[vertices, 3] = (offsets[helper] * arms).sum() / (arms**2).sum()
    return carried


@dataclass(frozen=True)
class Modifier:
    """Two opposite targets; a positive amount applies the first, a negative one the second (if there is one)."""

    positive: str
    negative: str | None
    sigma: float
    twin: int | None = None
    """Index of the same modifier on the other side of the face."""


def modifiers(source: Source) -> list[Modifier]:
    """Every detail modifier that moves the head, paired by opposites and by sides."""
    found: list[Modifier] = []
    for folder in DETAIL_FOLDERS:
        names = {name.removesuffix(".target.gz") for name in _stems(source, folder) if not name.startswith("asymm-")}
        for name in sorted(names):
            stem, _, last = name.rpartition("-")
            opposite = dict(OPPOSITES).get(last)
            if any(last == second and f"{stem}-{first}" in names for first, second in OPPOSITES):
                continue
            has = opposite is not None and f"{stem}-{opposite}" in names
            sigma = SIGMA.get(folder, SIGMA_DETAIL)
            if any(part in name for part in LID_MODIFIERS):
                sigma = SIGMA_LIDS
            found.append(Modifier(f"{folder}/{name}", f"{folder}/{stem}-{opposite}" if has else None, sigma))
    index = {modifier.positive: k for k, modifier in enumerate(found)}
    return [_with_twin(modifier, index) for modifier in found]


def _with_twin(modifier: Modifier, index: dict[str, int]) -> Modifier:
    folder, _, name = modifier.positive.partition("/")
    if not name.startswith(("l-", "r-")):
        return modifier
    other = f"{folder}/{'r' if name[0] == 'l' else 'l'}{name[1:]}"
    return Modifier(modifier.positive, modifier.negative, modifier.sigma, index[other])


def _stems(source: Source, folder: str) -> list[str]:
    return [name.rpartition("/")[2] for name in source.names(f"{MAKEHUMAN}targets/{folder}/")]


def random_person(random: np.random.Generator) -> Person:
    age = random.uniform(0.25, 0.5) if random.random() < CHILD_SHARE else 0.5 + 0.5 * random.beta(0.9, 1.3)
    return Person(
        random.dirichlet([0.7, 0.7, 0.7]), random.beta(0.6, 0.6), age, random.beta(3, 3), random.beta(2.2, 2.2)
    )


def random_details(chosen: list[Modifier], random: np.random.Generator) -> np.ndarray:
    """One amount per modifier; left-right pairs move mostly together."""
    amounts = random.normal(size=len(chosen))
    for k, modifier in enumerate(chosen):
        if modifier.twin is not None and modifier.twin > k:
            shared, alone = np.sqrt(1 - ONE_SIDED**2), ONE_SIDED
            both = random.normal()
            amounts[k] = shared * both + alone * amounts[k]
            amounts[modifier.twin] = shared * both + alone * amounts[modifier.twin]
    return np.clip(amounts, -2.5, 2.5) * np.array([modifier.sigma for modifier in chosen])


def details(chosen: list[Modifier], amounts: np.ndarray) -> dict[str, float]:
    """Targets for amounts of modifiers, by weight."""
    mixture = {}
    for modifier, amount in zip(chosen, amounts, strict=True):
        if amount > 0:
            mixture[modifier.positive] = amount
        elif modifier.negative:
            mixture[modifier.negative] = -amount
    return mixture


TEETH_SHIFT = ((0.0, -0.04, 0.035), (0.0, -0.015, 0.01))
TONGUE_SHIFT = (0.0, -0.03, 0.0)
"""Decimetres by which upper teeth, lower teeth and tongue leave MakeHuman's place: there the incisors end 2 mm above
the lips' edge and 12 mm behind it, and a smile shows the tongue instead of teeth."""


def assemble(mesh: HeadMesh, rest: np.ndarray, offsets: np.ndarray, radius: float) -> np.ndarray:
    """Vertices [V, 3] in decimetres: rest plus offsets [V, 4], eyeballs as spheres of that radius, teeth carved."""
    vertices = rest + offsets[:, :3] + mesh.eye_offsets * radius * (1 + offsets[:, 3:])
    vertices[mesh.tongue] += TONGUE_SHIFT
    for rows, shift in zip(mesh.teeth, TEETH_SHIFT, strict=True):
        middle = vertices[rows, 0].mean()
        vertices[rows, 0] = middle + TEETH_NARROWED * (vertices[rows, 0] - middle)
        vertices[rows] += shift
        outwards = vertices[rows] - vertices[rows].mean(0) * [1, 0, 1] + [0, 0, 0.35]
        outwards[:, 1] = 0
        outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
        vertices[rows] += outwards * mesh.tooth_shape[rows, :1]
        vertices[rows, 1] += mesh.tooth_shape[rows, 1]
    return vertices


def smooth_fields(
    points: np.ndarray, anchors: np.ndarray, length: float, count: int, random: np.random.Generator
) -> np.ndarray:
    """Random smooth displacements [count, V, 3] of about unit deviation near the anchors, fading out away from them."""
    kernel = np.exp(-((points[:, None] - anchors[None]) ** 2).sum(-1) / (2 * length**2))
    kernel /= np.sqrt((kernel**2).sum(1).max())
    return np.einsum("va,nak->nvk", kernel, random.normal(size=(count, len(anchors), 3)), optimize=True)


def farthest_points(points: np.ndarray, count: int) -> np.ndarray:
    chosen = [first_largest(points[:, 2])]
    distance = np.full(len(points), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        chosen.append(first_largest(distance))
    return points[chosen]


def symmetric_pca(
    samples: np.ndarray, mean: np.ndarray, mirror: np.ndarray, weights: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Principal directions that are exactly symmetric or antisymmetric.

    samples [N, V, 3], mean [V, 3] symmetric, weights [V]. Mirroring every sample makes the covariance fall apart into a
    symmetric and an antisymmetric block, so each is decomposed alone. Returns directions [V, 3, count] scaled to one
    standard deviation, whether each is symmetric, and the share of weighted variance kept.
    """
    offsets = samples - mean
    mirrored = offsets[:, mirror] * [-1, 1, 1]
    root = np.sqrt(weights / weights.mean())[None, :, None]
    directions, variances, symmetric, total = [], [], [], 0.0
    for sign in (1, -1):
        half = (offsets + sign * mirrored) / 2
        flat = (half * root).reshape(len(half), -1)
        size = len(flat)
        values, vectors = eigh(flat @ flat.T / size, subset_by_index=[size - count, size - 1])
        order = np.argsort(-values, kind="stable")
        # Coordinates of unit variance, then the direction is the regression of the shapes on them.
        coordinates = vectors[:, order] * np.sqrt(len(flat))
        directions.append(np.einsum("nvk,nc->vkc", half, coordinates) / len(flat))
        variances.append(values[order])
        symmetric.append(np.full(len(order), sign == 1))
        total += float((flat.astype(float) ** 2).sum()) / size
    variance = np.concatenate(variances)
    order = np.argsort(-variance, kind="stable")[:count]
    kept = np.concatenate(directions, axis=2)[:, :, order]
    return kept, np.concatenate(symmetric)[order], float(variance[order].sum() / total)


def _age_weights(age: float) -> list[tuple[str, float]]:
    if age < 0.5:
        share = (age - 0.1875) / (0.5 - 0.1875)
        return [("child", 1 - share), ("young", share)]
    share = (age - 0.5) / 0.5
    return [("young", 1 - share), ("old", share)]


def _three(names: tuple[str, str, str], value: float) -> list[tuple[str, float]]:
    if value < 0.5:
        return [(names[0], 1 - 2 * value), (names[1], 2 * value)]
    return [(names[1], 2 - 2 * value), (names[2], 2 * value - 1)]
