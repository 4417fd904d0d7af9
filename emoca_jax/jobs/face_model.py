"""What every way from a photo to a head needs, whatever gives the codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from emoca_jax.capture.detect import load_networks
from emoca_jax.capture.person import load_person_network
from emoca_jax.detail import DetailModel
from emoca_jax.errors import InputError
from emoca_jax.fit.landmark_model import LandmarkModel
from emoca_jax.flame.head import FaceHead
from emoca_jax.nets.emotion.open import Parameters, load_expression_networks
from emoca_jax.texture.layout import TextureLayout
from emoca_jax.texture.surface import SkinSurface

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FaceModel:
    """A head, the networks that see the photo, and what is made once per head."""

    name: str
    """What gives the codes."""
    head: FaceHead
    landmarks: LandmarkModel
    layout: TextureLayout
    surface: SkinSurface
    detail: DetailModel | None = None
    """Turns the detail code into a displaced surface, where the model has that stage."""
    official: bool = False
    """Whether the reference's bugs are followed."""
    detector: Parameters = field(default_factory=load_networks)
    expression: Parameters = field(default_factory=load_expression_networks)
    person: Parameters = field(default_factory=load_person_network)


def checked_model(model: T, *, part: str = "person", loader: str = "load_model") -> T:
    """The model, which is no name of one. Errors: InputError where it cannot find a face, or lacks a part."""
    if not (hasattr(model, "detector") and hasattr(model, part)):
        raise InputError(f"model must be what `{loader}` gives, not {model!r:.80}.")
    return model
