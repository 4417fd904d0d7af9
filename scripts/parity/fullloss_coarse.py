"""The coarse stage's whole loss on made-up landmarks: every term, and the gradient of their sum to every code."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from emoca_jax.flame.head import FaceHead
from emoca_jax.losses import emotion_consistency, identity, landmarks, mediapipe, photometric, regularizers
from emoca_jax.model import decode
from emoca_jax.nets.emotion.affect import AffectRead
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.identity import identity_features
from parity.assets import Assets
from parity.decode_render import face_eye_image
from parity.decoding import PREFIX, SIZE, codes_of, official_layers, official_names, photos
from parity.golden import Comparison, Golden, Tolerance

Terms = dict[str, jnp.ndarray]

WEIGHTS = {
    "landmark": 1.0,
    "eye_distance": 0.5,
    "lip_distance": 0.5,
    "mouth_corner_distance": 0.5,
    "landmark_mediapipe": 1.0,
    "eye_distance_mediapipe": 0.5,
    "lip_distance_mediapipe": 0.5,
    "mouth_corner_distance_mediapipe": 0.5,
    "photometric_texture": 2.0,
    "identity": 0.15,
    "shape_reg": 1e-4,
    "expression_reg": 1e-4,
    "tex_reg": 1e-4,
    "light_reg": 12.0,
    "coarse_emonet_feat_2_L1": 1.0,
}
"""The made-up run's configuration with what the file's note changes in it."""
TERM = Tolerance(relative=1e-4)
SMALL = Tolerance(absolute=1e-6, relative=1e-4)
"""For differences of numbers of the size of 1, which cancel down to its rounding."""
CODE_GRADIENT = Tolerance(relative=2e-3)
"""Single ReLUs of the networks switch with the last bit of the rendering (see noise.GRADIENT)."""


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    names = official_names(golden)
    yield from golden.inputs("image_index", "mask", "lmk", "lmk_mp", "note", *names)
    arrays = {name.removeprefix(PREFIX): jnp.asarray(golden[name]) for name in names}
    terms, reads, gradients = _value_and_gradients(assets, golden, arrays)
    for name, value in terms.items():
        yield from golden.check(f"loss_{name}", value, SMALL if name == "identity" else TERM)
    yield from golden.check("loss_total", sum(terms.values()), TERM)
    yield from _emotion_metrics(golden, *reads, terms["coarse_emonet_feat_2_L1"])
    for name, gradient in gradients.items():
        yield from golden.check(f"grad_{name}", gradient, CODE_GRADIENT)


def _value_and_gradients(
    assets: Assets, golden: Golden, arrays: Terms
) -> tuple[Terms, tuple[AffectRead, AffectRead], Terms]:
    model, images = assets.model("emoca"), photos(assets, golden)
    emotion, face = assets.variables("emotion_resnet50"), assets.variables("identity_resnet50")
    mask = jnp.asarray(model.maps["face_eye_mask"])
    points = {name: jnp.asarray(golden[name]) for name in ("lmk", "lmk_mp")}
    network = EmotionResNet50()
    felt: AffectRead = jax.jit(network.apply)(emotion, images)
    known = jax.jit(identity_features)(face, images)

    def loss(arrays, head, mask, emotion, face, felt, known):
        codes = codes_of(arrays)
        found = decode(head, codes, SIZE, official=True)
        seen = _identity_picture(head, found, codes, mask, images)
        face_eye, overlay = seen
        covered = lax.stop_gradient(face_eye * found.alpha)
        rendering = found.rendering * covered[..., None]
        read: AffectRead = network.apply(emotion, rendering)
        index = head.mediapipe_index
        raw = {
            **_landmark_terms(found, points, index),
            "photometric_texture": photometric.photometric_distance(rendering, images, covered),
            "identity": identity.identity_distance(identity_features(face, overlay), known),
            "shape_reg": regularizers.code_energy(codes.shape),
            "expression_reg": regularizers.code_energy(codes.expression),
            "tex_reg": regularizers.code_energy(codes.albedo),
            "light_reg": regularizers.light_colour(codes.light),
            "coarse_emonet_feat_2_L1": emotion_consistency.emotion_feature_distance(read.features, felt.features),
        }
        terms = {name: weight * raw[name] for name, weight in WEIGHTS.items()}
        return sum(terms.values()), (terms, read)

    differentiate = jax.jit(jax.grad(loss, has_aux=True))
    gradients, (terms, read) = differentiate(arrays, model.head, mask, emotion, face, felt, known)
    return terms, (felt, read), gradients


def _landmark_terms(found, points: Terms, index: jnp.ndarray) -> Terms:
    seen, mesh = found.landmarks, found.landmarks_mediapipe
    official_eyes = mediapipe.mediapipe_eye_distance(mesh, points["lmk_mp"], index, official=True)
    return {
        "landmark": landmarks.landmark_distance(seen, points["lmk"], landmarks.landmark_weights()),
        "eye_distance": landmarks.eye_distance(seen, points["lmk"]),
        "lip_distance": landmarks.lip_distance(seen, points["lmk"]),
        "mouth_corner_distance": landmarks.mouth_corner_distance(seen, points["lmk"]),
        "landmark_mediapipe": mediapipe.mediapipe_landmark_distance(mesh, points["lmk_mp"], index),
        "eye_distance_mediapipe": official_eyes,
        "lip_distance_mediapipe": mediapipe.mediapipe_lip_distance(mesh, points["lmk_mp"], index),
        "mouth_corner_distance_mediapipe": mediapipe.mediapipe_mouth_corner_distance(mesh, points["lmk_mp"], index),
    }


def _identity_picture(head: FaceHead, found, codes, mask, images) -> tuple[jnp.ndarray, jnp.ndarray]:
    """The uv mask in the image plane [B, H, W], and the face drawn over the photo from detached albedo and light.

    Their mask is not cut at the head's outline: behind it lies the mask's middle, which is set.
    """
    albedo, light = lax.stop_gradient((found.albedo, codes.light))
    layers = official_layers(head, found.vertices, codes.camera, albedo, light)
    face_eye = lax.stop_gradient(face_eye_image(mask, layers)[..., 0])
    return face_eye, identity.rendering_over_photo(layers.albedo, layers.shading, face_eye, images)


def _emotion_metrics(golden: Golden, felt: AffectRead, read: AffectRead, features: jnp.ndarray) -> Iterator[Comparison]:
    """What the emotion network reads in photo and rendering, reported beside the loss."""
    distances = {
        "valence": emotion_consistency.affect_distance(read.valence, felt.valence),
        "arousal": emotion_consistency.affect_distance(read.arousal, felt.arousal),
        "expression": emotion_consistency.expression_distance(read.expression_logits, felt.expression_logits),
    }
    for name, value in distances.items():
        yield from golden.check(f"metric_coarse_emonet_{name}_L1", value, SMALL)
    combined = features + sum(distances.values())
    yield from golden.check("metric_coarse_emonet_combined", combined, TERM)
    for side, one in (("input", felt), ("output", read)):
        yield from golden.check(f"metric_coarse_valence_{side}", one.valence.mean(), TERM)
        yield from golden.check(f"metric_coarse_arousal_{side}", one.arousal.mean(), TERM)
        likeliest = jnp.argmax(one.expression_logits, axis=-1).astype(jnp.float32)
        yield from golden.check(f"metric_coarse_expression_{side}", likeliest.mean(), TERM)
