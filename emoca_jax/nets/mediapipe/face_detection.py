"""BlazeFace in Flax: the short-range (128 px) and full-range (192 px) face detectors of MediaPipe.

Both answer, for each anchor, a score logit and 16 numbers: box centre and size, then six key points (right eye, left
eye, nose tip, mouth, right ear, left ear; the subject's right and left), relative to the anchor in input pixels.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.arrays import to_rank
from emoca_jax.nets.convolution import ImageFeatures
from emoca_jax.nets.mediapipe.blaze_blocks import FROM_FILE, BlazeBlock, DoubleBlazeBlock, pointwise
from emoca_jax.products import PRECISION, precise_einsum

SHORT_RANGE_SIZE = 128
FULL_RANGE_SIZE = 192

SHORT_FINE = ((24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1), (80, 1), (88, 1))
SHORT_COARSE = ((96, 2), (96, 1), (96, 1), (96, 1), (96, 1))
"""(channels, stride) of each block."""
FULL_STAGES = (
    ((32, 8, 1), (32, 8, 1), (48, 12, 2), (48, 12, 1), (64, 16, 1)),
    ((96, 24, 2), (128, 32, 1), (128, 32, 1)),
    ((144, 36, 2), (192, 48, 1), (256, 64, 1)),
    ((384, 96, 2), (384, 96, 1), (384, 96, 1), (384, 96, 1)),
)
"""(channels, squeezed channels, stride) of each double block; a stage ends where the feature pyramid taps it."""
FULL_PYRAMID = ((96, 48, 2), (64, 32, 2), (48, 24, 1))
"""(channels, squeezed channels, blocks) of each step up the pyramid."""

LOGIT_LIMIT = 100.0
"""Logits are clipped here before the sigmoid (MediaPipe's score_clipping_thresh)."""


class ShortRangeDetector(nn.Module):
    """BlazeFace for faces within about 2 m: input [*, 128, 128, 3] in [-1, 1], 896 anchors."""

    @nn.compact
    def __call__(self, images: ImageFeatures) -> tuple[Float[Array, "batch 896"], Float[Array, "batch 896 16"]]:
        x = nn.relu(
            nn.Conv(24, (5, 5), 2, padding="SAME", kernel_init=FROM_FILE, precision=PRECISION, name="stem")(images)
        )
        for i, (features, stride) in enumerate(SHORT_FINE):
            x = BlazeBlock(features, stride, name=f"fine{i}")(x)
        fine = x
        for i, (features, stride) in enumerate(SHORT_COARSE):
            x = BlazeBlock(features, stride, name=f"coarse{i}")(x)
        batch = len(images)
        scores = [pointwise(2, "score_fine")(fine), pointwise(6, "score_coarse")(x)]
        boxes = [pointwise(2 * 16, "box_fine")(fine), pointwise(6 * 16, "box_coarse")(x)]
        return (
            jnp.concatenate([level.reshape(batch, -1) for level in scores], axis=1),
            jnp.concatenate([level.reshape(batch, -1, 16) for level in boxes], axis=1),
        )


class FullRangeDetector(nn.Module):
    """BlazeFace for faces within about 5 m, with a feature pyramid: input [*, H, W, 3] in [-1, 1], an anchor per 4 x 4.

    Trained at 192 x 192; it is convolutional, so any H and W divisible by 32 work, with boxes in input pixels.
    """

    @nn.compact
    def __call__(self, images: ImageFeatures) -> tuple[Float[Array, "batch anchors"], Float[Array, "batch anchors 16"]]:
        x = nn.relu(
            nn.Conv(32, (3, 3), 2, padding="SAME", kernel_init=FROM_FILE, precision=PRECISION, name="stem")(images)
        )
        taps = []
        for stage, blocks in enumerate(FULL_STAGES):
            for i, (features, squeeze, stride) in enumerate(blocks):
                x = DoubleBlazeBlock(features, squeeze, stride, name=f"stage{stage}_{i}")(x)
            taps.append(x)
        taps.pop()
        for level, (features, squeeze, blocks) in enumerate(FULL_PYRAMID):
            above = nn.relu(pointwise(features, f"down{level}")(x))
            beside = nn.relu(pointwise(features, f"beside{level}")(taps.pop()))
            x = beside + jax.image.resize(above, beside.shape, "bilinear")
            for i in range(blocks):
                x = DoubleBlazeBlock(features, squeeze, name=f"pyramid{level}_{i}")(x)
        batch = len(images)
        return pointwise(1, "score")(x).reshape(batch, -1), pointwise(16, "box")(x).reshape(batch, -1, 16)


def short_range_anchors() -> Float[np.ndarray, "896 2"]:
    """Anchor centres of the short-range detector in input pixels: 2 per cell of 16 x 16, then 6 per cell of 8 x 8."""
    return np.concatenate([_grid(16, 16, 8, 2), _grid(8, 8, 16, 6)])


def full_range_anchors(height: int, width: int) -> Float[np.ndarray, "anchors 2"]:
    """Anchor centres of the full-range detector for an input of height x width, in input pixels."""
    return _grid(height // 4, width // 4, 4, 1)


def _grid(rows: int, columns: int, stride: int, per_cell: int) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride
    return np.repeat(centres, per_cell, axis=0)


def decode(
    logits: Float[Array, "*batch anchors"], boxes: Float[Array, "*batch anchors 16"], anchors: Float[Array, "anchors 2"]
) -> tuple[Float[Array, "*batch anchors"], Float[Array, "*batch anchors 8 2"]]:
    """Scores in [0, 1] and, per anchor, 8 points in input pixels: box corners (low, high), then the key points."""
    scores = jax.nn.sigmoid(jnp.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT))
    values = boxes.reshape(*boxes.shape[:-1], 8, 2)
    centre = values[..., 0, :] + to_rank(anchors, boxes.ndim)
    half = values[..., 1, :] / 2
    keypoints = values[..., 2:, :] + to_rank(anchors[:, None, :], values.ndim)
    corners = jnp.stack([centre - half, centre + half], axis=-2)
    return scores, jnp.concatenate([corners, keypoints], axis=-2)


def box_overlap(
    a: Float[Array | np.ndarray, "*#batch 4"], b: Float[Array | np.ndarray, "*#batch 4"]
) -> Float[Array | np.ndarray, "*batch"] | np.floating:
    """Intersection over union of boxes (x0, y0, x1, y1); 0 for empty boxes. Broadcasts; NumPy or JAX as given."""
    xp = jnp if isinstance(a, jax.Array) or isinstance(b, jax.Array) else np
    sides = xp.minimum(a[..., 2:], b[..., 2:]) - xp.maximum(a[..., :2], b[..., :2])
    intersection = xp.prod(xp.maximum(sides, 0), axis=-1)
    union = sum(xp.prod(xp.maximum(box[..., 2:] - box[..., :2], 0), axis=-1) for box in (a, b)) - intersection
    return intersection / xp.where(union > 0, union, xp.inf)


def weighted_non_maximum_suppression(
    scores: Float[Array, "candidates"],
    points: Float[Array, "candidates 8 2"],
    *,
    min_score: float,
    max_overlap: float = 0.3,
) -> tuple[Float[Array, "candidates"], Float[Array, "candidates 8 2"]]:
    """Merges overlapping candidates into their score-weighted mean; the strongest of each group keeps its score.

    Candidates under `min_score` are ignored. The result has the same length, strongest first; unused rows have score 0.
    `max_overlap` is MediaPipe's min_suppression_threshold. Not differentiable.
    """
    order = jnp.argsort(-scores)
    scores, points = scores[order], points[order]
    boxes = points[:, :2].reshape(-1, 4)
    overlaps = jnp.asarray(box_overlap(boxes[:, None], boxes[None])) > max_overlap

    def step(alive, row):
        group = alive & (overlaps[row] | (jnp.arange(len(scores)) == row))
        weights = jnp.where(group, scores, 0)
        mean = precise_einsum("k,k...->...", weights, points) / jnp.maximum(weights.sum(), 1e-12)
        taken = alive[row]
        kept = jnp.where(taken, scores[row], 0), mean * taken.astype(mean.dtype)
        return jnp.where(taken, alive & ~group, alive), kept

    _, (kept, merged) = jax.lax.scan(step, scores >= min_score, jnp.arange(len(scores)))
    order = jnp.argsort(-kept, stable=True)
    return kept[order], merged[order]
