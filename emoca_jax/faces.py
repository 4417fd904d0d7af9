"""What is known about one face of a photo, as plain data: what it feels, and how it is reconstructed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from emoca_jax.capture.found_faces import PhotoFace
from emoca_jax.codes import Codes
from emoca_jax.detail import DetailModel
from emoca_jax.emotion.reading import EmotionReading
from emoca_jax.files.kept_programs import kept
from emoca_jax.flame.head import FaceHead
from emoca_jax.model import Reconstruction, decode
from emoca_jax.nets.encoders import IMAGE_SIZE


@dataclass(frozen=True)
class Emotion:
    """What the networks read on the photo, and valence and arousal, off the 3D face where a network can."""

    photo: dict[str, float]
    """Probability of each expression class on the photo; sums to 1."""
    rendering: dict[str, float]
    """The same classes on the rendered reconstruction: close to `photo` where the emotion came across."""
    valence: float
    """-1 unpleasant .. 1 pleasant."""
    arousal: float
    """-1 calm .. 1 excited."""
    classes_by: str = "open networks"
    """What read the classes."""
    affect_by: str = "EMO-MLP (3D, open head)"
    """What told valence and arousal."""

    @property
    def label(self) -> str:
        """The most probable class on the photo."""
        return max(self.photo, key=lambda name: self.photo[name])


@dataclass(frozen=True, kw_only=True)
class EmotionResult(PhotoFace):
    """Everything that was read in one face of one photo."""

    readings: tuple[EmotionReading, ...]
    seconds: float
    """Time this face took."""


@dataclass(frozen=True, kw_only=True)
class ReconstructedFace(PhotoFace):
    """Everything known about one face after a reconstruction, as NumPy arrays."""

    fitted_landmarks: Float[np.ndarray, "points 2"]
    """Where the reconstruction puts `head.mediapipe_index` points, pixels of `photo`."""
    landmark_visible: Bool[np.ndarray, "points"]
    """Which of them the camera sees (and the fit error counts)."""
    crop: Float[np.ndarray, "3 3"]
    """Maps (x, y, 1) of the fitted crop's plane, [-1, 1]^2 with x right and y down, to pixels of `photo`."""
    head: FaceHead
    codes: Codes
    """NumPy leaves, no batch dimensions."""
    vertices: Float[np.ndarray, "vertices 3"]
    """Posed as in the photo, metres, world frame."""
    neutral_vertices: Float[np.ndarray, "vertices 3"]
    """Identity only: zero expression, zero pose."""
    texture: UInt8[np.ndarray, "size size 3"]
    """Colour of the skin without light, in uv space, row 0 at v = 1."""
    photo_texture: UInt8[np.ndarray, "size size 3"]
    """The same with the photo's light and shadows."""
    emotion: Emotion
    fit_error: float
    """RMS distance of visible fitted landmarks to detected ones, in percent of the face's width."""
    seconds: float
    """Time this face took."""
    detail_model: DetailModel | None = None
    """Turns the detail code into a displaced surface, where the model has that stage."""
    model: str = "open"
    """What gave the codes."""
    official: bool = False
    """Whether it is decoded by the reference's rules."""

    @cached_property
    def reconstruction(self) -> Reconstruction:
        """The codes decoded with the photo's texture, in the crop's plane at 224 x 224 pixels; NumPy leaves."""
        texture = jnp.asarray(self.texture, jnp.float32) / 255
        decoded = _decode(self.head, self.codes, texture, self.detail_model, self.official)
        return jax.tree.map(np.asarray, decoded)


@kept(static=("official",))
def _decode(
    head: FaceHead, codes: Codes, texture: jax.Array, detail: DetailModel | None, official: bool
) -> Reconstruction:
    return decode(head, codes, (IMAGE_SIZE, IMAGE_SIZE), texture, detail=detail, official=official)
