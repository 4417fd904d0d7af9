"""Fields over the skin of a head, one value a vertex: what is the same on both sides of a seam of the texture.

Smooth colour is solved for here and not on the texture: vertices know no seams, there are forty times fewer of them
than texels, and lengths are metres. A screened Poisson equation continues what was seen to where nothing was.
Sources: Perez et al. 2003, Poisson image editing; Bhat et al. 2008, Fourier analysis of the 2D screened Poisson
equation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from emoca_jax.flame.head import FaceHead
from emoca_jax.texture.layout import TextureLayout

STITCH_REACH = 0.015
"""Metres over which a jump of colour across a seam is evened out."""
COARSE = 256
"""Texels a side that smooth colour is solved on."""
MIRROR_NEIGHBOURS = 3
SMALLEST_COTANGENT = 0.01
"""Obtuse corners would push values apart."""


@dataclass(frozen=True, kw_only=True)
class SkinTexels:
    """The texels of a square texture that show skin."""

    size: int
    index: Int[np.ndarray, "texels"]
    """Their flat index."""
    area: Float[np.ndarray, "texels"]
    """Of each on the head, square metres."""
    spread: sparse.csr_array
    """[texels, vertices]: values at the vertices to values at the texels."""
    gather: sparse.csr_array
    """[vertices, texels]: its transpose, which sums texels up by vertex."""

    def on(self, values: Float[np.ndarray, "vertices *channels"]) -> Float[np.ndarray, "size size *channels"]:
        """Values at the vertices as a texture, zero where there is no skin."""
        full = np.zeros((self.size**2, *values.shape[1:]), np.float32)
        full[self.index] = self.spread @ values.astype(np.float32)
        return full.reshape(self.size, self.size, *values.shape[1:])

    def off(
        self, texture: Float[np.ndarray, "size size *channels"], weights: Float[np.ndarray, "size size"]
    ) -> Float[np.ndarray, "vertices *channels"]:
        """Sums over the area around each vertex, weighted."""
        weight = weights.reshape(-1)[self.index] * self.area
        values = texture.reshape(self.size**2, -1)[self.index]
        return (self.gather @ (weight[:, None] * values)).reshape(-1, *texture.shape[2:])


@dataclass(frozen=True, kw_only=True)
class SkinSurface:
    """Of one head and one size of its texture; made once. Vertices are those of its skin alone."""

    fine: SkinTexels
    """All texels."""
    coarse: SkinTexels
    """Some 256 x 256 of them, evenly spread: enough for what is smooth."""
    stiffness: sparse.csc_array
    """[vertices, vertices]: the Laplacian, positive; no unit."""
    mass: Float[np.ndarray, "vertices"]
    """Area around each vertex, square metres."""
    mirror: sparse.csr_array
    """[vertices, vertices]: values of the other side at each vertex."""
    read_ends: sparse.csr_array
    """[ends, texels]: colours of the texels to those that a lookup gives at the ends of a seam: the texture coordinates
    of vertices that have several."""
    stitch: Float[np.ndarray, "uvs ends"]
    """Colours at the ends to what to add at every texture coordinate so that those of one vertex are the same."""
    spread_uv: sparse.csr_array
    """[texels, uvs]: values at the texture coordinates to values at the texels."""


def skin_surface(head: FaceHead, layout: TextureLayout) -> SkinSurface:
    """The skin of a head as unwrapping needs it. Takes a fraction of a second; keep it as long as the layout."""
    template, uv = np.asarray(head.template, float), np.asarray(head.uv, float)
    faces, uv_faces = np.asarray(head.faces), np.asarray(head.uv_faces)
    skin = np.asarray(head.face_part) == head.part_names.index("skin")
    face_index = np.asarray(layout.fragments.face_index).ravel()
    texels = np.flatnonzero((face_index >= 0) & skin[face_index])
    corners = np.asarray(layout.fragments.barycentric).reshape(-1, 3)

    used = np.unique(faces[skin])
    row = np.full(len(template), -1)
    row[used] = np.arange(len(used))
    size = len(np.asarray(layout.nearest))
    solid, flat = _areas(template[faces]), _areas(np.pad(uv, ((0, 0), (0, 1)))[uv_faces])
    # A face that is squeezed to nothing in the texture has no texels.
    stretch = solid / np.maximum(flat, 1e-12)

    def skin_texels(step: int) -> SkinTexels:
        rows, columns = np.divmod(texels, size)
        taken = (rows % step == 0) & (columns % step == 0)
        own, side = face_index[texels[taken]], size // step
        spread = _interpolation(row[faces[own]], corners[texels[taken]], len(used))
        return SkinTexels(
            size=side,
            index=rows[taken] // step * side + columns[taken] // step,
            area=(stretch[own] / side**2).astype(np.float32),
            spread=spread,
            gather=sparse.csr_array(spread.T),
        )

    skin_uv = faces[skin], uv_faces[skin]
    spread_uv = _interpolation(uv_faces[face_index[texels]], corners[texels], len(uv))
    ends, same = _seams(*skin_uv)
    read_ends = _lookup(uv[ends], texels, np.asarray(layout.nearest))
    stitch = _fading(template, *skin_uv, len(uv), ends)
    if len(ends):
        uneven = same / same.sum(1, keepdims=True) - np.eye(len(ends))
        # A lookup mixes texels that belong to several ends, so the change at one is more than its own.
        stitch = -stitch @ np.linalg.pinv(uneven @ ((read_ends @ spread_uv) @ stitch), rcond=1e-3) @ uneven
    return SkinSurface(
        fine=skin_texels(1),
        coarse=skin_texels(max(1, size // COARSE)),
        stiffness=_laplacian(template[used], row[faces[skin]]),
        mass=_mass(solid[skin], row[faces[skin]], len(used)),
        mirror=_mirror(template[used]),
        read_ends=read_ends,
        stitch=stitch.astype(np.float32),
        spread_uv=spread_uv,
    )


def screened(
    surface: SkinSurface,
    values: Float[np.ndarray, "vertices channels"],
    weights: Float[np.ndarray, "vertices"],
    *,
    smooth: float,
    elsewhere: Float[np.ndarray, "channels"],
    reach: float,
) -> Float[np.ndarray, "vertices channels"]:
    """The field nearest to `values` where they are known, continued smoothly to where they are not.

    weights: square metres on which each value was seen. smooth: metres over which it is averaged. reach: metres from
    what was seen at which it has gone most of the way to `elsewhere`.
    """
    return screening(surface, weights, smooth=smooth, reach=reach)(values, elsewhere)


def screening(
    surface: SkinSurface, weights: Float[np.ndarray, "vertices"], *, smooth: float, reach: float
) -> Callable[
    [Float[np.ndarray, "vertices channels"], Float[np.ndarray, "channels"]], Float[np.ndarray, "vertices channels"]
]:
    """`screened` of any `values` and `elsewhere`, for several that were seen in the same places: most of the time goes
    into factorising. Arguments as of `screened`."""
    back = smooth**2 / reach**2 * surface.mass
    factors = _factors(smooth**2 * surface.stiffness + sparse.diags_array(weights + back))
    return lambda values, elsewhere: factors.solve(weights[:, None] * values + back[:, None] * elsewhere)


def _factors(system: Any) -> Any:
    """Of a symmetric system, ordered as one: a sheet's 3,600 unknowns for 152 right sides take a tenth of the time."""
    return splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})


def stitched(surface: SkinSurface, colours: Float[np.ndarray, "texels 3"]) -> Float[np.ndarray, "texels 3"]:
    """The skin's texels with the same colour on both sides of every seam."""
    return colours + surface.spread_uv @ (surface.stitch @ (surface.read_ends @ colours))


def _areas(corners: Float[np.ndarray, "faces 3 3"]) -> Float[np.ndarray, "faces"]:
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def _interpolation(
    columns: Int[np.ndarray, "rows 3"], weights: Float[np.ndarray, "rows 3"], count: int
) -> sparse.csr_array:
    starts = np.arange(0, columns.size + 1, 3)
    return sparse.csr_array((weights.ravel().astype(np.float32), columns.ravel(), starts), shape=(len(columns), count))


def _mass(areas: Float[np.ndarray, "faces"], faces: Int[np.ndarray, "faces 3"], count: int) -> np.ndarray:
    return np.bincount(faces.ravel(), np.repeat(areas / 3, 3), count)


def _laplacian(points: Float[np.ndarray, "points 3"], faces: Int[np.ndarray, "faces 3"]) -> sparse.csc_array:
    """Cotangent weights (Pinkall and Polthier 1993)."""
    rows, columns, weights = [], [], []
    for k in range(3):
        a, b, apex = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        to_a, to_b = points[a] - points[apex], points[b] - points[apex]
        doubled = np.maximum(np.linalg.norm(np.cross(to_a, to_b), axis=1), 1e-12)
        rows, columns = [*rows, a, b], [*columns, b, a]
        weights += [np.maximum((to_a * to_b).sum(1) / doubled, SMALLEST_COTANGENT) / 2] * 2
    count = len(points)
    links = sparse.csr_array((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), (count, count))
    return sparse.csc_array(sparse.diags_array(links.sum(axis=1)) - links)


def _mirror(points: Float[np.ndarray, "points 3"]) -> sparse.csr_array:
    """Nearest vertices to each one's mirror image in x = 0, weighted by closeness."""
    distance, index = KDTree(points).query(points * [-1, 1, 1], MIRROR_NEIGHBOURS)
    weights = 1 / (np.asarray(distance) + 1e-4) ** 2
    return _interpolation(np.asarray(index), weights / weights.sum(1, keepdims=True), len(points))


def _seams(
    faces: Int[np.ndarray, "faces 3"], uv_faces: Int[np.ndarray, "faces 3"]
) -> tuple[Int[np.ndarray, "ends"], Bool[np.ndarray, "ends ends"]]:
    """Texture coordinates of vertices that have several, and which are of the same vertex."""
    pairs = np.unique(np.stack([faces, uv_faces], -1).reshape(-1, 2), axis=0)
    vertex, ends = pairs[np.bincount(pairs[:, 0])[pairs[:, 0]] > 1].T
    return ends, vertex[:, None] == vertex[None]


def _lookup(
    uv: Float[np.ndarray, "points 2"], texels: Int[np.ndarray, "texels"], nearest: Int[np.ndarray, "size size"]
) -> sparse.csr_array:
    """[points, texels]: bilinear lookup in the texture, whose empty texels repeat the nearest full one."""
    size = len(nearest)
    column, row = uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5
    place = np.full(size * size, -1)
    place[texels] = np.arange(len(texels))
    entries = []
    for down in (0, 1):
        for right in (0, 1):
            near_row, near_column = np.floor(row) + down, np.floor(column) + right
            share = (1 - np.abs(row - near_row)) * (1 - np.abs(column - near_column))
            index = np.clip([near_row, near_column], 0, size - 1).astype(int)
            entries.append((share, place[nearest[tuple(index)]]))
    shares, columns = (np.stack(part, 1) for part in zip(*entries, strict=True))
    # Texels of another part beside it change nothing.
    shares = np.where(columns >= 0, shares, 0)
    starts = np.arange(0, shares.size + 1, 4)
    return sparse.csr_array(
        (shares.ravel().astype(np.float32), np.maximum(columns, 0).ravel(), starts), shape=(len(uv), len(texels))
    )


def _fading(
    template: np.ndarray, faces: np.ndarray, uv_faces: np.ndarray, count: int, ends: Int[np.ndarray, "ends"]
) -> Float[np.ndarray, "uvs ends"]:
    """A change at each end, fading over STITCH_REACH on the sheet, which is cut along its seams."""
    place = np.zeros((count, 3))
    place[uv_faces] = template[faces]
    mass = _mass(_areas(template[faces]), uv_faces, count)
    free = np.setdiff1d(np.unique(uv_faces), ends)
    system = (_laplacian(place, uv_faces) + sparse.diags_array(mass / STITCH_REACH**2)).tocsr()
    fade = np.zeros((count, len(ends)))
    fade[ends, np.arange(len(ends))] = 1
    if len(ends):
        fade[free] = _factors(system[free][:, free]).solve(-system[free][:, ends].toarray())
    return fade
