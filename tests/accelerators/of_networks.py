"""Programs of converted models, of encoders and of what reads emotion."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from emoca_jax import faces as face_results
from emoca_jax.emotion import landmark_units, pictures, units
from emoca_jax.emotion import networks as emotion_networks
from emoca_jax.evaluation import emotion as emotion_measures
from emoca_jax.export import detail_maps, tangents
from emoca_jax.export.pictures import detail as detail_pictures
from emoca_jax.jobs import open_encoder, trained_model
from emoca_jax.jobs.landmark_encoders import landmark_encoders
from emoca_jax.nets import encoders
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.crop import ExpressionCrop
from emoca_jax.nets.emotion.emonet import EMONET_SIZE, EmoNet
from emoca_jax.nets.emotion.frozen import PICTURE_SIZE
from emoca_jax.nets.emotion.mlp import CODE_INPUTS, DETAIL_INPUTS, EmotionMLP
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.emotion.small import SMALL_TRAINED_SIDE, SmallFaceReader
from emoca_jax.nets.emotion.swin import EmotionSwin
from emoca_jax.nets.mediapipe.mesh_look import MESH_MAPS
from emoca_jax.products import PRECISION
from emoca_jax.training.stages import emotion as emotion_stage
from tests.accelerators.inputs import (
    POINTS,
    SIDE,
    array,
    batch_of,
    detail_model,
    encoder,
    flame_codes,
    flame_head,
    ones,
    open_codes,
    open_model,
    shapes_of,
    variables,
)
from tests.accelerators.table import SLOW_ON_TPU, Call, program, texture_shape

PICTURE = 384
"""Pixels a side of a tile of the comparison picture."""

# Converted models.


@program(encoders._features)
def encoder_trunk(chips: int) -> Call:
    trunk = {"params": encoder(encoders.FLAME_OUTPUTS)["params"]["trunk"]}
    return Call((trunk, array(chips, SIDE, SIDE, 3), jnp.float32, PRECISION), (1,))


@program(encoders._regress)
def encoder_layers(chips: int) -> Call:
    layers = {name: value for name, value in encoder(encoders.FLAME_OUTPUTS)["params"].items() if name != "trunk"}
    return Call((layers, array(chips, 2048), PRECISION), (1,))


def _open_encoders() -> tuple[Any, Any, dict[str, Any]]:
    """Shapes of head, landmark model and variables."""
    head, landmarks = open_model().head, open_model().landmarks
    begin = landmark_encoders(head, landmarks)
    parameters, statistics = jax.eval_shape(lambda: begin.with_expression(*begin.start(jax.random.key(0))))
    return shapes_of(head), shapes_of(landmarks), {"params": parameters, "batch_stats": statistics}


@program(open_encoder.open_codes)
def open_encoder_codes(chips: int) -> Call:
    return Call((*_open_encoders(), array(chips, SIDE, SIDE, 3), array(chips, POINTS, 3)), (3, 4))


@program(open_encoder._coded_and_posed)
def encoded_and_posed(chips: int) -> Call:
    return Call((*_open_encoders(), array(SIDE, SIDE, 3), array(POINTS, 3)))


@program(trained_model._over_photo, slow=SLOW_ON_TPU)
def rendering_over_photo(chips: int) -> Call:
    return Call((flame_head(), flame_codes(), array(SIDE, SIDE, 3), False))


@program(face_results._decode, slow=SLOW_ON_TPU)
def decode_detail_result(chips: int) -> Call:
    return Call((flame_head(), flame_codes(), texture_shape(), detail_model(), False))


@program(face_results._decode, slow=SLOW_ON_TPU)
def decode_official_detail_result(chips: int) -> Call:
    return Call((flame_head(), flame_codes(), texture_shape(), detail_model().replace(blend=True), True))


@program(detail_pictures._draw, slow=SLOW_ON_TPU)
def detail_picture(chips: int) -> Call:
    return Call((flame_head(), flame_codes(), detail_model(), PICTURE, False))


@program(detail_maps._tangent_space, slow=SLOW_ON_TPU)
def normal_map(chips: int) -> Call:
    head, detail = flame_head(), detail_model()
    return Call((head, detail, head.template, array(*detail.mask.shape, 3)))


@program(detail_maps._points)
def dense_points(chips: int) -> Call:
    head, detail = flame_head(), detail_model()
    return Call((detail, head, detail.mask, head.template))


@program(tangents.uv_tangents)
def texture_tangents(chips: int) -> Call:
    head = flame_head()
    return Call((head, head.template))


# Emotion.


@program(units.read_units)
def emotion_of_units(chips: int) -> Call:
    network = shapes_of(units.load_units_network())
    return Call((network, open_codes().expression, open_model().head.expression_names))


@program(landmark_units.landmark_units)
def units_of_landmarks(chips: int) -> Call:
    network = shapes_of(landmark_units.load_unit_reader())
    return Call((network, array(POINTS, 3)))


@program(pictures._both_sides)
def both_sides_of_a_face(chips: int) -> Call:
    crop = ExpressionCrop(array(2), array(), array())
    return Call((array(SIDE, SIDE, 3), crop))


@program(pictures._read)
def emotion_of_picture(chips: int) -> Call:
    networks = shapes_of(pictures.picture_networks(open_model().expression, open_model().detector["mesh"]))
    maps = {name: array(2, cells, cells, channels) for name, (cells, channels) in MESH_MAPS.items()}
    seen = array(2, PICTURE_SIZE, PICTURE_SIZE, 3)
    return Call((networks.expression, networks.units, networks.reader, seen, array(2, POINTS, 3), maps))


@program(emotion_stage._read)
def judged_recogniser(chips: int) -> Call:
    network = EmotionMLP(units.LAYERS, units.FEATURES)
    known = variables(network, array(1, len(units.ARKIT_UNITS)))
    codes = array(chips, len(units.ARKIT_UNITS))
    return Call((network, known["params"], known["batch_stats"], codes), (3,))


@program(emotion_measures._resampled)
def measures_with_intervals(chips: int) -> Call:
    told, rows = array(POINTS), jax.ShapeDtypeStruct((emotion_measures.DRAWS, POINTS), jnp.int32)
    return Call((emotion_measures._affect_measures, (told, told), rows))


@program(emotion_networks._read_image)
def emotion_resnet50(chips: int) -> Call:
    network = shapes_of(fold_batch_norms(ones(variables(EmotionResNet50(), array(1, SIDE, SIDE, 3)))))
    return Call(("emotion_resnet50", network, array(chips, SIDE, SIDE, 3)), (2,))


@program(emotion_networks._read_image, slow=SLOW_ON_TPU)
def emotion_swin(chips: int) -> Call:
    network = variables(EmotionSwin(), array(1, SIDE, SIDE, 3))
    return Call(("emotion_swin", network, array(chips, SIDE, SIDE, 3)), (2,))


@program(emotion_networks._read_image, slow=SLOW_ON_TPU)
def emonet(chips: int) -> Call:
    network = variables(EmoNet(), array(1, EMONET_SIZE, EMONET_SIZE, 3))
    return Call(("emonet", network, array(chips, SIDE, SIDE, 3)), (2,))


@program(emotion_networks._read_upright)
def trained_small_recogniser(chips: int) -> Call:
    network = variables(SmallFaceReader(), array(1, SMALL_TRAINED_SIDE, SMALL_TRAINED_SIDE, 3))
    square = ExpressionCrop(array(2), array(), array())
    return Call(("emotion_small", network, array(SIDE, SIDE, 3), square))


@program(emotion_networks._read_codes)
def emotion_mlp(chips: int) -> Call:
    network = variables(EmotionMLP(), array(1, CODE_INPUTS + DETAIL_INPUTS))
    codes = batch_of(flame_codes(), chips)
    return Call((network, codes.shape, codes.expression, codes.jaw, codes.detail), (1, 2, 3, 4))
