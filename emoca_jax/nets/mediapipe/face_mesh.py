"""MediaPipe's face mesh networks in Flax: 468 points plain, or 478 with attention to lips, eyes and irises.

Input [*, 192, 192, 3] in [0, 1]: an upright face crop. Points come in crop pixels (x right, y down) with z in the same
unit, negative towards the viewer. Attention mesh: arXiv:2006.10962.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emoca_jax.mediapipe_points import LEFT_EYE_RING, LEFT_IRIS, LIP_RINGS, MESH_POINTS, RIGHT_EYE_RING, RIGHT_IRIS
from emoca_jax.nets.convolution import ImageFeatures
from emoca_jax.nets.mediapipe.blaze_blocks import FROM_FILE, BlazeBlock, ChannelPReLU, pointwise
from emoca_jax.products import PRECISION, precise_einsum

MESH_SIZE = 192

FINE = ((16, 1), (16, 1), (32, 2))
MIDDLE = ((32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (128, 2), (128, 1), (128, 1))
COARSE = ((128, 2), (128, 1), (128, 1))
"""(channels, stride) of each block up to the tap for the attention branches, up to 6 x 6, and on to 3 x 3."""
REGION_STEM = ((32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (128, 2))
REGION_HEAD = ((128, 1), (128, 1), (128, 2), (128, 1), (128, 1))
"""An attention branch: shared by eye and iris up to 4 x 4, then its own to 2 x 2."""

REGION_GRID = 16
REGION_SCALE = 1.5
FEATURE_STRIDE = 4
"""Each attention branch reads a REGION_GRID x REGION_GRID crop of the features at a quarter of the input's resolution,
REGION_SCALE times the box of the branch's points (custom options of the operations in the tflite file)."""

# Which of the 478 points each branch refines, in the order in which it answers them (MediaPipe's refinement graph:
# rings of the mouth: outermost, innermost, the two between; eye contour, then its halos and the brow).
LIPS = (*LIP_RINGS[0], *LIP_RINGS[3], *LIP_RINGS[1], *LIP_RINGS[2])
RIGHT_EYE = (
    *RIGHT_EYE_RING,
    *(130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190),
    *(226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189),
    *(35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193),
)
LEFT_EYE = (
    *LEFT_EYE_RING,
    *(359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414),
    *(446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413),
    *(265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465),
    *(383, 300, 293, 334, 296, 336, 285, 417),
)
# The first points of each eye list are its contour, whose mean depth the iris takes.
EYE_CONTOUR_POINTS = len(RIGHT_EYE_RING)
REGION_AXES = {"lips": (61, 291), "right_eye": (33, 133), "left_eye": (362, 263)}
"""Two points per region whose line is turned level before cropping."""


def _prelu() -> ChannelPReLU:
    return ChannelPReLU(name="activation")


class Blocks(nn.Module):
    """A chain of residual blocks with PReLU."""

    blocks: tuple[tuple[int, int], ...]

    @nn.compact
    def __call__(self, x: ImageFeatures) -> ImageFeatures:
        for i, (features, stride) in enumerate(self.blocks):
            x = BlazeBlock(features, stride, _prelu, name=f"block{i}")(x)
        return x


class Branch(nn.Module):
    """Residual blocks, a narrowing to 32 channels, and one dense layer over all cells for each output."""

    blocks: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[str, int], ...]

    @nn.compact
    def __call__(self, x: ImageFeatures) -> dict[str, Float[Array, "batch values"]]:
        x = Blocks(self.blocks, name="blocks")(x)
        x = ChannelPReLU(name="narrow_activation")(pointwise(32, "narrow")(x))
        x = BlazeBlock(32, 1, _prelu, name="last")(x)
        flat = x.reshape(len(x), -1)
        return {name: pointwise(size, name)(flat) for name, size in self.outputs}


class FaceMesh(nn.Module):
    """Face crop to points and the logit of there being a face: 468 points, or 478 with `attention`.

    Returns points [*, 468 or 478, 3] in crop pixels and logits [*].
    """

    attention: bool = True
    mouth_looks: int = 1
    """How often the lips branch looks, each time around its own last answer; 1 is MediaPipe.

    The mesh that says where to look first lags on a wide open mouth, which then sticks out of the branch's view: a
    second look opens the lips of a surprised face from 28 to 34 % of its width, where they are, and leaves smiles as
    they were; more looks drift.
    """

    @nn.compact
    def __call__(self, images: ImageFeatures) -> tuple[Float[Array, "batch points 3"], Float[Array, "batch"]]:
        stem = nn.Conv(16, (3, 3), 2, padding="SAME", kernel_init=FROM_FILE, precision=PRECISION, name="stem")(images)
        fine = Blocks(FINE, name="fine")(ChannelPReLU(name="stem_activation")(stem))
        middle = Blocks(MIDDLE, name="middle")(fine)
        if not self.attention:
            points = Branch(COARSE, (("mesh", 3 * MESH_POINTS),), name="points")(middle)["mesh"]
            presence = Branch(COARSE[:1], (("presence", 1),), name="presence")(middle)["presence"]
            return points.reshape(-1, MESH_POINTS, 3), presence[:, 0]
        outputs = Branch(COARSE, (("mesh", 3 * MESH_POINTS), ("presence", 1)), name="points")(middle)
        mesh = outputs["mesh"].reshape(-1, MESH_POINTS, 3)
        refined = mesh[..., :2]
        for name, indices, parts, looks in (
            ("lips", LIPS, {"lips": LIPS}, self.mouth_looks),
            ("right_eye", RIGHT_EYE, {"right_eye": RIGHT_EYE, "right_iris": RIGHT_IRIS}, 1),
            ("left_eye", LEFT_EYE, {"left_eye": LEFT_EYE, "left_iris": LEFT_IRIS}, 1),
        ):
            region = Region(tuple((part, len(points)) for part, points in parts.items()), name=name)
            for _ in range(looks):
                answers = region(fine, *region_transform(refined, indices, REGION_AXES[name]))
                refined = _replaced(refined, {parts[part]: points for part, points in answers.items()})
        return with_depth(refined, mesh[..., 2]), outputs["presence"][:, 0]


class Region(nn.Module):
    """Attention branch: the features around a region to the points of its parts, in crop pixels."""

    parts: tuple[tuple[str, int], ...]
    """Name and number of points of each part."""

    @nn.compact
    def __call__(
        self, features: ImageFeatures, linear: Float[Array, "batch 2 2"], offset: Float[Array, "batch 2"]
    ) -> dict[str, Float[Array, "batch points 2"]]:
        x = Blocks(REGION_STEM, name="stem")(crop_features(features, linear, offset))
        points = {}
        for part, count in self.parts:
            flat = Branch(REGION_HEAD, (("points", 2 * count),), name=part)(x)["points"]
            # A branch answers in units of which the crop is FEATURE_STRIDE * REGION_GRID wide.
            turned = precise_einsum("bij,bpj->bpi", linear, flat.reshape(-1, count, 2))
            points[part] = turned + FEATURE_STRIDE * offset[:, None, :]
        return points


def _replaced(points: Array, parts: dict[tuple[int, ...], Array]) -> Array:
    """Points with those of each part put in, the irises appended where they are not there yet."""
    missing = max(0, 1 + max(max(indices) for indices in parts) - points.shape[1])
    points = jnp.pad(points, ((0, 0), (0, missing), (0, 0)))
    for indices, values in parts.items():
        points = points.at[:, np.array(indices)].set(values)
    return points


def region_transform(
    mesh: Float[Array, "batch points 2"], indices: tuple[int, ...], axis: tuple[int, int]
) -> tuple[Float[Array, "batch 2 2"], Float[Array, "batch 2"]]:
    """Where the crop of a region lies: feature position = linear @ grid position + offset.

    The crop is the box of the points `indices` after turning the line between the `axis` points level, enlarged.
    """
    points = mesh / FEATURE_STRIDE
    along = points[:, axis[1]] - points[:, axis[0]]
    along = along / jnp.maximum(jnp.linalg.norm(along, axis=-1, keepdims=True), 1e-12)
    # Columns: the directions of the crop's x and y in the features.
    axes = jnp.stack([along, jnp.stack([-along[:, 1], along[:, 0]], axis=-1)], axis=-1)
    turned = precise_einsum("bpi,bij->bpj", points[:, np.array(indices)], axes)
    low, high = turned.min(axis=1), turned.max(axis=1)
    centre = precise_einsum("bij,bj->bi", axes, (low + high) / 2)
    linear = axes * ((high - low) * REGION_SCALE / REGION_GRID)[:, None, :]
    return linear, centre - linear.sum(axis=-1) * (REGION_GRID / 2)


def crop_features(
    features: Float[Array, "batch height width channels"],
    linear: Float[Array, "batch 2 2"],
    offset: Float[Array, "batch 2"],
) -> Float[Array, "batch grid grid channels"]:
    """Bilinear samples of the features at the region's grid; cells whose centre falls outside are 0."""
    height, width = features.shape[1:3]
    cells = jnp.stack(jnp.meshgrid(*[jnp.arange(REGION_GRID, dtype=jnp.float32) + 0.5] * 2), axis=-1)
    where = precise_einsum("bij,yxj->byxi", linear, cells) + offset[:, None, None, :] - 0.5
    limit = jnp.array([width - 1, height - 1], where.dtype)[None, None, None]
    inside = jnp.all((where >= 0) & (where <= limit), axis=-1, keepdims=True)
    where = jnp.clip(where, 0, limit)
    low = jnp.minimum(jnp.floor(where), limit - 1)
    weight = where - low
    column, row = low[..., 0].astype(int), low[..., 1].astype(int)
    batch = jnp.arange(len(features))[:, None, None]
    wx, wy = weight[..., :1], weight[..., 1:]
    upper = (1 - wx) * features[batch, row, column] + wx * features[batch, row, column + 1]
    lower = (1 - wx) * features[batch, row + 1, column] + wx * features[batch, row + 1, column + 1]
    return jnp.where(inside, (1 - wy) * upper + wy * lower, 0)


def with_depth(xy: Float[Array, "batch 478 2"], z: Float[Array, "batch 468"]) -> Float[Array, "batch 478 3"]:
    """Refined x and y with the mesh's z; an iris takes its eye contour's mean z."""
    irises = [
        jnp.repeat(z[:, np.array(eye[:EYE_CONTOUR_POINTS])].mean(axis=1, keepdims=True), len(RIGHT_IRIS), axis=1)
        for eye in (RIGHT_EYE, LEFT_EYE)
    ]
    return jnp.concatenate([xy, jnp.concatenate([z, *irises], axis=1)[..., None]], axis=-1)


def presence_score(logits: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Probability in [0, 1] that the crop shows a face."""
    return jax.nn.sigmoid(logits)
