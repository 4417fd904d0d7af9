"""Second half of a fit: through the renderer, so that the head looks like the photo and feels like it does."""

from __future__ import annotations

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float

from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.fit.landmarks import LandmarkGoal, LandmarkModel, energy, landmark_goal
from emoca_jax.fit.light import ALBEDO_LIMIT, ambient_light, fit_light_and_albedo
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import decode
from emoca_jax.nets.emotion.crop import ExpressionCrop, crop_image
from emoca_jax.nets.emotion.open import ExpressionRead, Parameters, expression_features

FIT_SIZE = 224
"""Side of the fitted crop in pixels, as EMOCA's."""
ADAM_STEPS = 30
RATES = Codes(
    **dict[str, Any](
        shape=0.015, expression=0.012, pose=0.002, jaw=0.002, eyes=0.0, camera=0.002, light=0.01, albedo=0.05
    )
)
"""Adam step per code, in the code's own unit."""
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""MediaPipe's outline of the face, in order."""
ROBUST_COLOUR = 0.1
"""Colour error, of 1, beyond which a pixel counts as hair, glasses or a hand and pulls less (Charbonnier-Cauchy)."""


LANDMARK_SHARE, PHOTOMETRIC_SHARE, EMOTION_SHARE = 1.0, 25.0, 150.0
"""Weights of the three terms, in units of prior standard deviations, robust colour error and feature distance."""
ALBEDO_SHARE = 0.1
"""Weight of the albedo model's unit-normal prior."""


class FitWeights(struct.PyTreeNode):
    """How much each term counts against its default; 0 switches it off."""

    photometric: float = 1.0
    emotion: float = 1.0
    """Emotion consistency: features of the expression network in the energy, its reading as expression prior."""


class PhotoGoal(struct.PyTreeNode):
    """What one face's photo asks for."""

    landmarks: LandmarkGoal
    image: Float[Array, "height width 3"]
    mask: Float[Array, "height width"]
    """Pixels that show the face."""
    crop: ExpressionCrop
    read: ExpressionRead
    """What the expression network sees in the photo."""


def inside_oval(landmarks: Float[Array, "478 3"], size: int) -> Float[Array, "size size"]:
    """1 for pixel centres inside the face outline (even-odd rule), landmarks in the image plane."""
    corner = landmarks[jnp.array(FACE_OVAL), :2]
    following = jnp.roll(corner, -1, axis=0)
    centres = (2 * jnp.arange(size) + 1) / size - 1
    y = centres[:, None]
    spans = (corner[:, 1] > y) != (following[:, 1] > y)
    rise = jnp.where(following[:, 1] == corner[:, 1], 1.0, following[:, 1] - corner[:, 1])
    crossing = corner[:, 0] + (y - corner[:, 1]) / rise * (following[:, 0] - corner[:, 0])
    left_of = spans[:, None, :] & (centres[None, :, None] < crossing[:, None, :])
    return (jnp.sum(left_of, axis=-1) % 2).astype(jnp.float32)


def composite(
    image: Float[Array, "height width 3"],
    rendering: Float[Array, "height width 3"],
    alpha: Float[Array, "height width"],
) -> Float[Array, "height width 3"]:
    """The rendering in the photo's place, hair and background kept, as the expression network sees both."""
    covered = alpha[..., None]
    return image * (1 - covered) + jnp.clip(rendering, 0.0, 1.0) * covered


@functools.partial(jax.jit, static_argnames=("steps",))
def fit_photo(
    head: FaceHead,
    model: LandmarkModel,
    networks: Parameters,
    start: Codes,
    landmarks: Float[Array, "478 3"],
    image: Float[Array, "size size 3"],
    crop: ExpressionCrop,
    read: ExpressionRead,
    weights: FitWeights,
    steps: int = ADAM_STEPS,
) -> tuple[Codes, Float[Array, "size size 3"]]:
    """Refine landmark-fitted codes on the photo itself; returns codes and their rendering in the photo's place.

    Light and albedo start from a closed form, then Adam lowers landmark energy + photometric error + emotion
    consistency. The emotion term moves expression and nothing else (EMOCA freezes identity, section 3.2): it compares
    deep features of an expression network on photo and rendering.
    """
    mask = inside_oval(landmarks, image.shape[0])
    size = (image.shape[0], image.shape[1])
    rotation = flame.rotation_matrix(start.pose[0])
    expected = weights.emotion * read.probabilities
    goal = PhotoGoal(landmark_goal(model, landmarks, expected, rotation), image, mask, crop, read)
    start = _with_light(head, start, image, mask)

    optimiser = optax.adam(optax.cosine_decay_schedule(1.0, steps, alpha=0.05), b1=0.8, b2=0.95)

    def step(state: tuple, _: None) -> tuple[tuple, None]:
        codes, moments = state
        gradient = _gradient(head, model, networks, goal, weights, codes)
        # optax takes any pytree; its annotations know only arrays and containers of them.
        update, moments = optimiser.update(cast(Any, gradient), moments)
        codes = jax.tree.map(lambda code, change, rate: code + rate * change, codes, update, RATES)
        expression = jnp.clip(codes.expression, model.prior.lower, model.prior.upper)
        jaw = jnp.where(head.bounded_expression, start.jaw, codes.jaw)
        albedo = jnp.clip(codes.albedo, -ALBEDO_LIMIT, ALBEDO_LIMIT)
        return (codes.replace(expression=expression, jaw=jaw, albedo=albedo), moments), None

    (codes, _), _ = jax.lax.scan(step, (start, optimiser.init(cast(Any, start))), None, length=steps)
    decoded = decode(head, codes, size)
    return codes, composite(image, decoded.rendering, decoded.alpha)


def _gradient(
    head: FaceHead, model: LandmarkModel, networks: Parameters, goal: PhotoGoal, weights: FitWeights, codes: Codes
) -> Codes:
    """Gradient of the whole energy. One rendering serves both image terms; the emotion term's share reaches expression
    alone."""

    def rendered(codes: Codes) -> tuple[jax.Array, jax.Array]:
        decoded = decode(head, codes, goal.image.shape[:2])
        return decoded.rendering, decoded.alpha

    def emotion(rendering: jax.Array) -> jax.Array:
        picture = composite(goal.image, rendering, alpha)
        read = expression_features(networks, crop_image(picture, goal.crop))
        return EMOTION_SHARE * weights.emotion * emotion_distance(goal.read, read)

    rendering, pull_back, alpha = jax.vjp(rendered, codes, has_aux=True)

    def against_photo(rendering: jax.Array) -> jax.Array:
        seen = goal.mask * alpha
        return PHOTOMETRIC_SHARE * weights.photometric * photometric(rendering, goal.image, seen)

    (from_photo,) = pull_back(jax.grad(against_photo)(rendering))
    (from_emotion,) = pull_back(jax.grad(emotion)(rendering))
    from_landmarks = jax.grad(functools.partial(energy, model, goal.landmarks))(codes)
    total = jax.tree.map(lambda first, second: LANDMARK_SHARE * first + second, from_landmarks, from_photo)
    total = total.replace(albedo=total.albedo + ALBEDO_SHARE * codes.albedo)
    return total.replace(expression=total.expression + from_emotion.expression)


def photometric(
    rendering: Float[Array, "height width 3"], image: Float[Array, "height width 3"], mask: Float[Array, "height width"]
) -> Float[Array, ""]:
    """Mean robust colour error over the mask; large errors (hair, glasses, hands) saturate."""
    error = jnp.sum((rendering - image) ** 2, axis=-1) / ROBUST_COLOUR**2
    return jnp.sum(mask * error / (1 + error)) / jnp.maximum(jnp.sum(mask), 1.0)


def emotion_distance(photo: ExpressionRead, rendering: ExpressionRead) -> Float[Array, ""]:
    """EMOCA's emotion consistency: mean squared difference of deep features, none to the photo (eq. 2)."""
    return jnp.mean((rendering.features - jax.lax.stop_gradient(photo.features)) ** 2)


def _with_light(head: FaceHead, codes: Codes, image: jax.Array, mask: jax.Array) -> Codes:
    """Start light and albedo from their closed form on the landmark-fitted geometry."""
    if head.albedo is None:
        return codes.replace(light=ambient_light(), albedo=jnp.zeros((0,)))
    plain = codes.replace(light=ambient_light(), albedo=jnp.zeros((head.albedo.basis.shape[-1],)))
    light, albedo = fit_light_and_albedo(head.albedo, decode(head, plain, image.shape[:2]), image, mask)
    return codes.replace(light=light, albedo=albedo)
