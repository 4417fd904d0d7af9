"""The coarse stage's whole loss: how far a decoded face is from its photo, in terms that the papers name.

DECA section 3.3 trains E_flame with it; EMOCA section 3.2 adds the emotion consistency and trains E_expression.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Float

from emoca_jax.codes import Codes
from emoca_jax.flame.head import FaceHead
from emoca_jax.losses import emotion_consistency, identity, landmarks, mediapipe, photometric, regularizers
from emoca_jax.losses.photometric import MaskKind
from emoca_jax.model import Reconstruction, sample
from emoca_jax.nets.identity import identity_features
from emoca_jax.objectives.emotion_eyes import OFFICIAL_EYE, EmotionEye, EmotionRead
from emoca_jax.objectives.judges import as_batch, is_folded, judge
from emoca_jax.objectives.terms import Objective, Terms, objective
from emoca_jax.render import over, spherical_harmonics

DECA_COARSE_WEIGHTS = {
    "landmarks": 1.0,
    "eyes": 1.0,
    "lips": 0.5,
    "photometric": 2.0,
    "identity": 0.2,
    "shape_prior": 1e-4,
    "expression_prior": 1e-4,
    "albedo_prior": 1e-4,
    "light_colour": 1.0,
}
"""DECA section 3.3 and its released configuration."""
EMOCA_COARSE_WEIGHTS = {
    "emotion": 1.0,
    "photometric": 2.0,
    "eyes": 0.5,
    "lips": 0.5,
    "mouth_corners": 0.5,
    "expression_prior": 1e-4,
}
"""EMOCA section 3.2: relative landmarks only, no identity, since only the expression is trained."""


class CoarseBatch(struct.PyTreeNode):
    """What is known of the photos: crops of one face each."""

    images: Float[Array, "*batch height width 3"]
    """RGB in [0, 1]."""
    landmarks: Float[Array, "*batch 68 _"] | None = None
    """In the image plane [-1, 1]^2, y down; further columns than x and y are ignored."""
    landmarks_mediapipe: Float[Array, "*batch 478 _"] | None = None
    mask: Float[Array, "*batch height width"] | None = None
    """1 where the segmented face is."""


EMOTION_TERMS = ("emotion", "emotion_centred", "emotion_cosine")
"""Emotion consistency as the paper has it; the same of what features differ by from their mean over the batch: what the
network sees in all renderings and in no photo (coarse brows, light) is no emotion of any face; and 1 - cos of features,
which the official code has as an option: by squares a face that shows too little of everything is near to a photo that
is read unsurely, by the angle it is not."""


class Judges(struct.PyTreeNode):
    """Variables of the frozen networks that look at photo and rendering; None for those that no weight asks for."""

    emotion: dict | None = None
    """Of the network that `eye` runs."""
    identity: dict | None = None
    """Of the VGGFace2 ResNet-50, for `identity_features`."""
    eye: EmotionEye = struct.field(pytree_node=False, default=OFFICIAL_EYE)
    """What feels emotion in photo and rendering: the paper's network, or one that ships."""


def coarse_objective(
    head: FaceHead,
    codes: Codes,
    found: Reconstruction,
    batch: CoarseBatch,
    judges: Judges,
    weights: Mapping[str, float],
    *,
    uv_mask: Float[Array, "rows columns"] | None = None,
    mask_kind: MaskKind = "rendered",
    official: bool = False,
) -> Objective:
    """Weighted terms of a batch of decoded faces against their photos.

    found: `decode(head, codes, ...)` at the size of the images. weights: by term, as EMOCA_COARSE_WEIGHTS; the terms
    with "_mediapipe" behind them need the batch's `landmarks_mediapipe`, "emotion" and "identity" their judge.
    uv_mask: where on the head the comparison counts (FLAME's face and eyes), row 0 at v = 1; None everywhere.
    official: the reference's rules where ours differ (lid pairs of MediaPipe's points, identity compared behind the
    head's outline too). Differentiable to the codes; masks and photos carry no gradient. Metrics tell what the emotion
    network reads. Errors: InputError where a weight names no term or its network is not there.
    """
    covered, cut = _masks(found, uv_mask, mask_kind, batch.mask)
    # A rendering is black outside its own coverage; the reference multiplies by that once more.
    rendering = found.rendering * (covered if official else cut)[..., None]
    compared = rendering if official else found.rendering
    reads = _emotion_reads(judges, rendering, covered, batch) if {*EMOTION_TERMS} & set(weights) else None

    def emotion() -> Array:
        assert reads is not None
        return emotion_consistency.emotion_feature_distance(reads[1].features, reads[0].features)

    def emotion_centred() -> Array:
        assert reads is not None
        felt, shown = (read.features - jnp.mean(read.features, axis=0, keepdims=True) for read in reads)
        return emotion_consistency.emotion_feature_distance(shown, felt)

    def emotion_cosine() -> Array:
        assert reads is not None
        return emotion_consistency.emotion_feature_distance(reads[1].features, reads[0].features, kind="cosine")

    def same_person() -> Array:
        variables = judge(judges.identity, "identity", "judges.identity")
        features = functools.partial(identity_features, variables, folded=is_folded(variables))
        known = lax.stop_gradient(features(as_batch(batch.images)))
        picture = _identity_picture(codes, found, batch.images, uv_mask, official)
        return identity.identity_distance(features(as_batch(picture)), known)

    terms = {
        **_landmark_terms(head, found, batch, official),
        "photometric": lambda: photometric.photometric_distance(compared, batch.images, covered),
        "identity": same_person,
        "emotion": emotion,
        "emotion_centred": emotion_centred,
        "emotion_cosine": emotion_cosine,
        "shape_prior": lambda: regularizers.code_energy(codes.shape),
        "expression_prior": lambda: regularizers.code_energy(codes.expression),
        "albedo_prior": lambda: regularizers.code_energy(codes.albedo),
        "light_colour": lambda: regularizers.light_colour(codes.light),
    }
    return objective(terms, weights, metrics={} if reads is None else _emotion_metrics(*reads))


def _masks(
    found: Reconstruction, uv_mask: Array | None, kind: MaskKind, truth: Array | None
) -> tuple[Float[Array, "*batch height width"], Float[Array, "*batch height width"]]:
    """The one mask of the stage, what rendering and photo are compared under, and what it cuts off a rendering."""
    area = jnp.ones_like(found.alpha) if uv_mask is None else uv_mask_image(found, uv_mask)
    covered = photometric.photometric_mask(kind, area * found.alpha, truth)
    return lax.stop_gradient((covered, photometric.photometric_mask(kind, area, truth)))


def uv_mask_image(found: Reconstruction, uv_mask: Float[Array, "rows columns"]) -> Float[Array, "*batch height width"]:
    """A uv mask as the pixels see it; on the background the mask's middle. As the reference samples it.

    Differentiable to mask and geometry.
    """
    return sample(jnp.asarray(uv_mask)[..., None], found.surface.uv_plane, official=True)[..., 0]


def _landmark_terms(
    head: FaceHead, found: Reconstruction, batch: CoarseBatch, official: bool
) -> dict[str, Callable[[], Array]]:
    terms: dict[str, Callable[[], Array]] = {}
    if batch.landmarks is not None:
        seen, truth = found.landmarks, batch.landmarks
        terms |= {
            "landmarks": lambda: landmarks.landmark_distance(seen, truth, weights=landmarks.landmark_weights()),
            "eyes": lambda: landmarks.eye_distance(seen, truth),
            "lips": lambda: landmarks.lip_distance(seen, truth),
            "mouth_corners": lambda: landmarks.mouth_corner_distance(seen, truth),
        }
    if batch.landmarks_mediapipe is None:
        return terms
    mesh = (found.landmarks_mediapipe, batch.landmarks_mediapipe, head.mediapipe_index)
    return terms | {
        "landmarks_mediapipe": lambda: mediapipe.mediapipe_landmark_distance(*mesh),
        "eyes_mediapipe": lambda: mediapipe.mediapipe_eye_distance(*mesh, official=official),
        "lips_mediapipe": lambda: mediapipe.mediapipe_lip_distance(*mesh),
        "mouth_corners_mediapipe": lambda: mediapipe.mediapipe_mouth_corner_distance(*mesh),
    }


def _identity_picture(
    codes: Codes, found: Reconstruction, images: Array, uv_mask: Array | None, official: bool
) -> Float[Array, "*batch height width 3"]:
    """The face over the photo, drawn from detached albedo and light: who it is must show in the shape.

    The reference's mask is not cut at the head's outline: behind it lies the uv mask's middle, which is set.
    """
    surface = found.surface
    albedo = sample(lax.stop_gradient(found.albedo), surface.uv_plane, official=official)
    shading = spherical_harmonics(surface.normals, lax.stop_gradient(codes.light))
    shown = found.alpha if uv_mask is None else uv_mask_image(found, uv_mask) * (1.0 if official else found.alpha)
    return identity.rendering_over_photo(albedo, shading, lax.stop_gradient(shown), images)


def _emotion_reads(
    judges: Judges, rendering: Array, covered: Array, batch: CoarseBatch
) -> tuple[EmotionRead, EmotionRead]:
    """What the emotion network reads in the photos (a given) and in the renderings."""
    frozen, eye = judge(judges.emotion, "emotion", "judges.emotion"), judges.eye
    if eye.over_photo:
        rendering = over(batch.images, jnp.clip(rendering, 0.0, 1.0), covered)

    def read(pictures: Array) -> EmotionRead:
        return eye.read(frozen, pictures, batch.landmarks_mediapipe)

    return lax.stop_gradient(read(batch.images)), read(rendering)


def _emotion_metrics(felt: EmotionRead, shown: EmotionRead) -> Terms:
    """What the emotion network reads in photo and rendering, and how far apart that is."""
    classes = {"photo": felt, "rendering": shown}
    likeliest = {side: jnp.argmax(read.expression_logits, axis=-1) for side, read in classes.items()}
    metrics = {
        "expression_distance": emotion_consistency.expression_distance(shown.expression_logits, felt.expression_logits),
        "expression_agreement": jnp.mean(likeliest["photo"] == likeliest["rendering"], dtype=jnp.float32),
    }
    for name in ("valence", "arousal"):
        pair = getattr(shown, name), getattr(felt, name)
        if pair[0] is not None and pair[1] is not None:
            metrics[f"{name}_distance"] = emotion_consistency.affect_distance(*pair)
            metrics[f"{name}_rendering"], metrics[f"{name}_photo"] = pair[0].mean(), pair[1].mean()
    for side in classes:
        metrics[f"expression_{side}"] = jnp.mean(likeliest[side], dtype=jnp.float32)
    return lax.stop_gradient(metrics)
