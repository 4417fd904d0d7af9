"""The similarity that lays one set of points over another: least squares in closed form, NumPy or JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emoca_jax.arrays import to_rank
from emoca_jax.products import precise_matmul

Kind = TypeVar("Kind", jax.Array, np.ndarray)


@dataclass(frozen=True)
class Similarity(Generic[Kind]):
    """x -> scale * rotation @ x + translation; NumPy or JAX, as the points were that it was found from."""

    scale: Float[Kind, ""]
    """A number."""
    rotation: Float[Kind, "3 3"]
    """Orthogonal; a reflection only where that was allowed and fits better."""
    translation: Float[Kind, "3"]
    """In the target's unit."""

    def apply(self, points: Float[Kind, "*points 3"]) -> Float[Kind, "*points 3"]:
        """Points moved over the target, in its unit."""
        return self.scale * _product(points, self.rotation.T) + to_rank(self.translation, points.ndim)


def align_similarity(
    source: Float[Kind, "points 3"],
    target: Float[Kind, "points 3"],
    *,
    weight: Float[Kind, "points"] | None = None,
    reflection: bool = False,
) -> Similarity[Kind]:
    """The similarity that brings `source` nearest to `target` in weighted least squares (Umeyama 1991).

    source, target: in any units, both NumPy (result: NumPy, in their precision) or both JAX. weight: not
    negative; 1 where not given. reflection: let it mirror. Differentiable where the points do not lie in a plane.
    """
    xp: Any = jnp if isinstance(source, jax.Array) or isinstance(target, jax.Array) else np
    share = xp.full((len(source), 1), 1 / len(source)) if weight is None else (weight / weight.sum())[:, None]
    source_mean, target_mean = (share * source).sum(0), (share * target).sum(0)
    centred, aimed = source - source_mean[None], target - target_mean[None]
    u, stretch, vt = xp.linalg.svd(_product((share * aimed).T, centred))
    if not reflection:
        flip = xp.concatenate([xp.ones(2), xp.sign(xp.linalg.det(u) * xp.linalg.det(vt))[None]])
        u, stretch = u * flip[None], stretch * flip
    rotation = _product(u, vt)
    scale = stretch.sum() / (share * centred**2).sum()
    return Similarity(xp.asarray(scale), rotation, target_mean - scale * _product(rotation, source_mean[:, None])[:, 0])


def _product(left: Any, right: Any) -> Any:
    """Matrix product in full precision, which JAX has to be asked for: some processors round to bfloat16."""
    return precise_matmul(left, right) if isinstance(left, jax.Array) else left @ right
