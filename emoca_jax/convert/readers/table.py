"""Every kind of official file: which part of a model folder it gives, and what reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from emoca_jax.convert.kinds import Found, Kind
from emoca_jax.convert.readers import albedo, emoca, emotion_networks, flame, networks, uv_maps
from emoca_jax.convert.readers.pieces import Pieces, shape_of
from emoca_jax.convert.readers.translate import Row, Translated
from emoca_jax.nets.declared import check_network

HEAD, MAPS = "head", "maps"
"""Parts that several files give together; every other part comes out of one."""


class Reader(NamedTuple):
    """How one kind of file is read."""

    part: str
    """HEAD, MAPS, or another of SHARED_PARTS of `model_folder`."""
    read: Callable[[Found, str], Pieces]
    """A recognised file and the name to show -> its arrays. Errors: InputError where it is damaged or incomplete."""


def _content(part: str, read: Callable[[Any, str], Pieces]) -> Reader:
    return Reader(part, lambda found, shown: read(found.content, shown))


def _mask(name: str) -> Reader:
    return Reader(MAPS, lambda found, _: uv_maps.mask(found.content, name))


def _network(part: str, translate: Callable[[Any], Translated]) -> Reader:
    return Reader(part, lambda found, _: emoca.network_pieces(part, translate(found.content), beside=found.beside))


def _trained(part: str) -> Reader:
    """What a run of scripts/train.py leaves: our own names already."""

    def as_it_is(found: Found, shown: str) -> Pieces:
        arrays = dict(found.content)
        check_network(part, arrays, shown, advice="train again, or copy the file again")
        return Pieces(arrays, [Row(name, f"{part}: {name}", shape_of(array), "") for name, array in arrays.items()])

    return Reader(part, as_it_is)


READERS: dict[Kind, Reader] = {
    Kind.FLAME: _content(HEAD, flame.flame_model),
    Kind.LANDMARKS: _content(HEAD, flame.landmark_embedding),
    Kind.MEDIAPIPE: _content(HEAD, flame.mediapipe_embedding),
    Kind.TEMPLATE: _content(HEAD, uv_maps.head_template),
    Kind.FACE_MASK: _mask("face_mask"),
    Kind.FACE_EYE_MASK: _mask("face_eye_mask"),
    Kind.DISPLACEMENT: _content(MAPS, uv_maps.fixed_displacement),
    Kind.DENSE_TEMPLATE: _content(MAPS, uv_maps.dense_template),
    Kind.BFM_ALBEDO: _content("albedo_bfm", albedo.bfm_albedo),
    Kind.FLAME_TEXTURE: _content("albedo_flame", albedo.flame_texture),
    Kind.EMOTION_RESNET: _network("emotion_resnet50", emotion_networks.emotion_resnet50),
    Kind.EMOTION_SWIN: _network("emotion_swin", emotion_networks.emotion_swin),
    Kind.EMONET: _network("emonet", emotion_networks.emonet),
    Kind.EMOTION_MLP: _network("emotion_mlp", emotion_networks.emotion_mlp),
    Kind.VGGFACE2: _network("identity_resnet50", networks.identity_resnet50),
    Kind.VGG19: _network("vgg19", networks.vgg19),
    Kind.TRAINED_RESNET: _trained("emotion_resnet50"),
    Kind.TRAINED_SWIN: _trained("emotion_swin"),
    Kind.TRAINED_EMONET: _trained("emonet"),
    Kind.TRAINED_SMALL: _trained("emotion_small"),
    Kind.TRAINED_ON_OPEN: _trained("emotion_on_open"),
    Kind.TRAINED_MLP: _trained("emotion_mlp"),
}
MODEL_READERS: dict[Kind, Callable[[Found, str], emoca.Model]] = {
    Kind.EMOCA: emoca.read_emoca,
    Kind.DECA: emoca.read_deca,
}
"""In the order of conversion, after all else: a checkpoint's copies of FLAME give way to official files, and DECA's
coarse encoder, the same as EMOCA's, becomes a reference to it."""
