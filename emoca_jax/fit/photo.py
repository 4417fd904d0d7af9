"""Second half of a fit: through the renderer, so that the head looks like the photo and feels like it does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float

from emoca_jax import flame
from emoca_jax.codes import Codes
from emoca_jax.files.kept_programs import kept
from emoca_jax.fit.landmark_model import LandmarkModel, face_width
from emoca_jax.fit.landmarks import LANDMARK_WEIGHT, energy, landmark_goal
from emoca_jax.fit.light import ALBEDO_LIMIT, ambient_light, fit_light_and_albedo
from emoca_jax.fit.outline import find_outline, outline_residuals
from emoca_jax.flame.head import FaceHead
from emoca_jax.mediapipe_points import FACE_OVAL
from emoca_jax.model import decode
from emoca_jax.nets.emotion.open import Parameters
from emoca_jax.objectives.photo import FitWeights, SeenFace, composite, emotion_term, photometric_term

ADAM_STEPS = 30
RATES = {
    "shape": 0.015, "expression": 0.012, "pose": 0.002, "jaw": 0.002, "camera": 0.002, "light": 0.01, "albedo": 0.05,
}  # fmt: skip
"""Adam step per code, in the code's own unit; the eyes stay."""
LANDMARK_SHARE = 1.0
"""Weight of the landmark energy beside the image terms of `objectives.photo`."""
OUTLINE_SHARE = 1.0
"""Weight of the outline's points, all together, against all landmarks'."""
ALBEDO_SHARE = 0.1
"""Weight of the albedo model's unit-normal prior."""


class PhotoFit(struct.PyTreeNode):
    """A fitted face."""

    codes: Codes
    picture: Float[Array, "size size 3"]
    """Its rendering in the photo's place."""


def inside_oval(landmarks: Float[Array, "478 3"], size: int) -> Float[Array, "size size"]:
    """1 for pixel centres inside the face outline (even-odd rule), landmarks in the image plane."""
    corner = landmarks[jnp.array(FACE_OVAL), :2][None]
    following = jnp.roll(corner, -1, axis=1)
    centres = (2 * jnp.arange(size) + 1) / size - 1
    y = centres[:, None]
    spans = (corner[..., 1] > y) != (following[..., 1] > y)
    rise = jnp.where(following[..., 1] == corner[..., 1], 1.0, following[..., 1] - corner[..., 1])
    crossing = corner[..., 0] + (y - corner[..., 1]) / rise * (following[..., 0] - corner[..., 0])
    left_of = spans[:, None, :] & (centres[None, :, None] < crossing[:, None, :])
    return (jnp.sum(left_of, axis=-1) % 2).astype(jnp.float32)


@kept(static=("steps", "identity_held"))
def fit_photo(
    head: FaceHead,
    model: LandmarkModel,
    networks: Parameters,
    seen: SeenFace,
    start: Codes,
    weights: FitWeights,
    units: Float[Array, "units"] | None,
    *,
    steps: int = ADAM_STEPS,
    identity_held: bool = False,
) -> PhotoFit:
    """Refine landmark-fitted codes on the photo itself.

    Light and albedo start from a closed form, then Adam lowers landmark energy + distance of a turned face's outline
    from the photo's + photometric error + emotion consistency. The emotion term moves expression and nothing else
    (EMOCA freezes identity, section 3.2): it compares deep features of an expression network on photo and rendering.
    units: as `fit_landmarks` takes them. identity_held: the start's shape stays, as other photos have a part in it.
    """
    rates = {name: rate for name, rate in RATES.items() if not (identity_held and name == "shape")}
    mask = inside_oval(seen.landmarks, seen.image.shape[0])
    rotation = flame.rotation_matrix(start.pose[0])
    goal = landmark_goal(model, seen.landmarks, weights.emotion * seen.read.probabilities, rotation, units)
    geometry = functools.partial(energy, model, goal)
    if seen.person is not None:
        geometry = _with_outline(head, model, seen, seen.person, start, geometry)
    start = _with_light(head, start, seen.image, mask)

    # Of no steps no schedule can be made, and light and albedo are all that is added to the start.
    optimiser = optax.adam(optax.cosine_decay_schedule(1.0, max(steps, 1), alpha=0.05), b1=0.8, b2=0.95)

    def step(state: tuple, _: None) -> tuple[tuple, None]:
        codes, moments = state
        gradient = _gradient(head, networks, geometry, seen, mask, weights, codes)
        # optax takes any pytree; its annotations know only arrays and containers of them. Inside, its decay rates are
        # floats to the power of a step that is an integer.
        with jax.numpy_dtype_promotion("standard"):
            update, moments = optimiser.update(cast(Any, gradient), moments)
        codes = codes.replace(
            **{name: getattr(codes, name) + rate * getattr(update, name) for name, rate in rates.items()}
        )
        expression = jnp.clip(codes.expression, model.prior.lower, model.prior.upper)
        jaw = jnp.where(head.bounded_expression, start.jaw, codes.jaw)
        albedo = jnp.clip(codes.albedo, -ALBEDO_LIMIT, ALBEDO_LIMIT)
        return (codes.replace(expression=expression, jaw=jaw, albedo=albedo), moments), None

    (codes, _), _ = jax.lax.scan(step, (start, optimiser.init(cast(Any, start))), None, length=steps)
    decoded = decode(head, codes, _size(seen.image))
    return PhotoFit(codes, composite(seen.image, decoded.rendering, decoded.alpha))


def _size(image: Array) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _gradient(
    head: FaceHead,
    networks: Parameters,
    geometry: Callable[[Codes], Array],
    seen: SeenFace,
    mask: Array,
    weights: FitWeights,
    codes: Codes,
) -> Codes:
    """Gradient of the whole energy. One rendering serves both image terms; the emotion term's share reaches expression
    alone."""

    def rendered(codes: Codes) -> tuple[Array, Array]:
        decoded = decode(head, codes, _size(seen.image))
        return decoded.rendering, decoded.alpha

    rendering, pull_back, alpha = jax.vjp(rendered, codes, has_aux=True)
    (from_photo,) = pull_back(jax.grad(lambda image: photometric_term(seen, image, mask * alpha, weights))(rendering))
    (from_emotion,) = pull_back(jax.grad(lambda image: emotion_term(seen, networks, image, alpha, weights))(rendering))
    total = jax.tree.map(lambda points, image: LANDMARK_SHARE * points + image, jax.grad(geometry)(codes), from_photo)
    total = total.replace(albedo=total.albedo + ALBEDO_SHARE * codes.albedo)
    return total.replace(expression=total.expression + from_emotion.expression)


def _with_outline(
    head: FaceHead,
    model: LandmarkModel,
    seen: SeenFace,
    person: Array,
    start: Codes,
    energy_of_landmarks: Callable[[Codes], Array],
) -> Callable[[Codes], Array]:
    """What geometry costs, the outline found at the start included."""
    width = face_width(seen.landmarks)
    outline = find_outline(head, model.outlined, start, seen.image, person, seen.landmarks, width)
    scale = OUTLINE_SHARE * LANDMARK_WEIGHT * 100.0 / width

    def cost(codes: Codes) -> Array:
        return energy_of_landmarks(codes) + 0.5 * jnp.sum((scale * outline_residuals(outline, codes)) ** 2)

    return cost


def _with_light(head: FaceHead, codes: Codes, image: jax.Array, mask: jax.Array) -> Codes:
    """Start light and albedo from their closed form on the landmark-fitted geometry."""
    if head.albedo is None:
        return codes.replace(light=ambient_light(), albedo=jnp.zeros((0,)))
    plain = codes.replace(light=ambient_light(), albedo=jnp.zeros((head.albedo.basis.shape[-1],)))
    light, albedo = fit_light_and_albedo(head.albedo, decode(head, plain, image.shape[:2]), image, mask)
    return codes.replace(light=light, albedo=albedo)
