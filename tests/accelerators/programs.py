"""Every program that the package compiles, at the shapes it has in use. A new one is an entry in this table.

Under each function stands what it is called with on so many chips. Programs that take many faces take so many per chip;
those that the package runs for one face run for it on every chip.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from emoca_jax import faces as face_results
from emoca_jax import model, render
from emoca_jax.capture import detect, place_landmarks
from emoca_jax.codes import Codes
from emoca_jax.emotion import networks as emotion_networks
from emoca_jax.emotion import units
from emoca_jax.evaluation import emotion as emotion_measures
from emoca_jax.export import detail_maps, tables, tangents
from emoca_jax.export.pictures import comparison
from emoca_jax.export.pictures import detail as detail_pictures
from emoca_jax.export.rig import shapes
from emoca_jax.fit import landmarks as landmark_fit
from emoca_jax.fit.photo import fit_photo
from emoca_jax.flame.head import FaceHead
from emoca_jax.jobs import assemble, look, open_encoder, trained_model
from emoca_jax.mesh_view import picture
from emoca_jax.nets import encoders
from emoca_jax.nets.convolution import fold_batch_norms
from emoca_jax.nets.emotion.emonet import EMONET_SIZE, EmoNet
from emoca_jax.nets.emotion.mlp import CODE_INPUTS, DETAIL_INPUTS, EmotionMLP
from emoca_jax.nets.emotion.resnet import EmotionResNet50
from emoca_jax.nets.emotion.swin import EmotionSwin
from emoca_jax.nets.mediapipe.face_detection import FULL_RANGE_SIZE, SHORT_RANGE_SIZE
from emoca_jax.nets.mediapipe.face_mesh import MESH_SIZE
from emoca_jax.nets.open_encoder import OPEN_SIZE
from emoca_jax.objectives.coarse import DECA_COARSE_WEIGHTS, EMOCA_COARSE_WEIGHTS, Judges
from emoca_jax.objectives.emotion_eyes import OPEN_EYE
from emoca_jax.objectives.photo import FitWeights, SeenFace
from emoca_jax.products import CUBLAS, PRECISION
from emoca_jax.render.soft import default_blur_radius
from emoca_jax.texture import layout, unwrap
from emoca_jax.texture.surface import COARSE
from emoca_jax.training.stages import emotion as emotion_stage
from emoca_jax.training.stages.coarse import Coarse, whole_loss
from emoca_jax.training.stages.encoders import OfficialEncoders, OpenEncoders
from tests.accelerators.inputs import (
    POINTS,
    SIDE,
    UV_SIDE,
    Shape,
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

TRAINED_AT_ONCE = 8
"""Faces per chip of what training runs."""
OF_RESNET = TRAINED_AT_ONCE * (64 << 20)
"""Bytes that a ResNet-50 keeps of them for its gradient: the maps of 224 pixels, each a few times."""
PICTURE = 384
"""Pixels a side of a tile of the comparison picture."""


class Call(NamedTuple):
    """What a program is called with."""

    arguments: tuple
    batched: tuple[int, ...] = ()
    """Which arguments have a face per row; the others are the same for all."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Static arguments by name."""


class Program(NamedTuple):
    """A function, jitted or not, and what it is called with on so many chips."""

    function: Callable
    call: Callable[[int], Call]
    slow: tuple[str, ...]
    """Targets whose compiler takes so long over it that only a slow run asks."""
    kept: int = 0
    """Bytes on a chip of what networks keep for their gradients."""


PROGRAMS: dict[str, Program] = {}


def _program(
    function: Callable, *, slow: tuple[str, ...] = (), kept: int = 0
) -> Callable[[Callable[[int], Call]], None]:
    def enter(call: Callable[[int], Call]) -> None:
        PROGRAMS[call.__name__] = Program(function, call, slow, kept)

    return enter


SLOW_ON_TPU = ("v5e",)

# The main job: find faces.


@_program(detect._look_short_range)
def detect_short_range(chips: int) -> Call:
    pixels = array(place_landmarks.view_batch() * chips, SHORT_RANGE_SIZE, SHORT_RANGE_SIZE, 3, dtype=jnp.uint8)
    return Call((shapes_of(open_model().detector["short_range"]), pixels), (1,))


@_program(detect._look_full_range, slow=SLOW_ON_TPU)
def detect_full_range(chips: int) -> Call:
    pixels = array(place_landmarks.view_batch() * chips, FULL_RANGE_SIZE, FULL_RANGE_SIZE, 3, dtype=jnp.uint8)
    return Call((shapes_of(open_model().detector["full_range"]), pixels), (1,))


@_program(detect._merge_across_views)
def merge_across_views(chips: int) -> Call:
    return Call((array(detect.PER_PHOTO), array(detect.PER_PHOTO, 8, 2)))


@_program(place_landmarks._mesh)
def face_mesh(chips: int) -> Call:
    crops = array(place_landmarks.CROP_BATCH * chips, MESH_SIZE, MESH_SIZE, 3, dtype=jnp.uint8)
    return Call((shapes_of(open_model().detector["mesh"]), crops), (1,))


# The main job: fit a head.


@_program(landmark_fit._point_normals)
def point_normals(chips: int) -> Call:
    head = open_model().head
    return Call(shapes_of((head.template, head.faces, head.landmarks_mediapipe)))


@_program(layout._on_template, slow=SLOW_ON_TPU)
def texture_of_template(chips: int) -> Call:
    return Call((shapes_of(open_model().head),), options={"size": layout.TEXTURE_SIZE})


@_program(look._expression_crop)
def expression_crop(chips: int) -> Call:
    return Call((array(POINTS, 3),))


@_program(look.read, slow=SLOW_ON_TPU)
def read_expression(chips: int) -> Call:
    seen = _seen()
    return Call((shapes_of(open_model().expression), seen.image, seen.crop))


@_program(landmark_fit.fit_landmarks)
def fit_landmarks(chips: int) -> Call:
    return Call((shapes_of(open_model().landmarks), array(chips, POINTS, 3), array(chips, 7)), (1, 2))


@_program(fit_photo)
def photo_fit(chips: int) -> Call:
    face_model = open_model()
    fixed = shapes_of((face_model.head, face_model.landmarks, face_model.expression))
    # Light and albedo begin here.
    start = open_codes().replace(albedo=array(0))
    return Call((*fixed, _seen(), start, shapes_of(FitWeights())))


@_program(assemble.measure, slow=SLOW_ON_TPU)
def measure(chips: int) -> Call:
    face_model, side = open_model(), layout.TEXTURE_SIZE
    fixed = shapes_of((face_model.head, face_model.landmarks, face_model.layout))
    return Call((*fixed, open_codes(), array(POINTS, 3), array(side, side, 3), array(2, 2)))


@_program(unwrap._composed)
def composed_texture(chips: int) -> Call:
    side = layout.TEXTURE_SIZE
    coarse, colours, grey = array(COARSE, COARSE), array(side, side, 3), array(side, side)
    seen = unwrap.Observed(colours, colours, grey, colours, array(side, side, 2), colours, grey, array())
    return Call((shapes_of(open_model().layout), seen, coarse, colours, colours, grey))


# The main job: results and files.


@_program(face_results._decode, slow=SLOW_ON_TPU)
def decode_result(chips: int) -> Call:
    return Call((shapes_of(open_model().head), open_codes(), _texture(), None, False))


@_program(comparison._draw, slow=SLOW_ON_TPU)
def comparison_picture(chips: int) -> Call:
    return Call((shapes_of(open_model().head), open_codes(), _texture()), options={"size": PICTURE})


@_program(shapes._normals)
def vertex_normals(chips: int) -> Call:
    return Call(_mesh())


@_program(tables._rotation_matrix)
def head_rotation(chips: int) -> Call:
    return Call((array(2, 3),))


# Converted models.


@_program(encoders._features)
def encoder_trunk(chips: int) -> Call:
    trunk = {"params": encoder(encoders.FLAME_OUTPUTS)["params"]["trunk"]}
    return Call((trunk, array(chips, SIDE, SIDE, 3), jnp.float32, PRECISION), (1,))


@_program(encoders._regress)
def encoder_layers(chips: int) -> Call:
    layers = {name: value for name, value in encoder(encoders.FLAME_OUTPUTS)["params"].items() if name != "trunk"}
    return Call((layers, array(chips, 2048), PRECISION), (1,))


@_program(open_encoder.open_codes)
def open_encoder_codes(chips: int) -> Call:
    head = open_model().head
    begin = OpenEncoders(head)
    parameters, statistics = jax.eval_shape(lambda: begin.with_expression(*begin.start(jax.random.key(0))))
    network = {"params": parameters, "batch_stats": statistics}
    return Call((shapes_of(head), network, array(chips, SIDE, SIDE, 3)), (2,))


@_program(trained_model._over_photo, slow=SLOW_ON_TPU)
def rendering_over_photo(chips: int) -> Call:
    return Call((flame_head(), flame_codes(), array(SIDE, SIDE, 3), False))


@_program(face_results._decode, slow=SLOW_ON_TPU)
def decode_detail_result(chips: int) -> Call:
    return Call((flame_head(), flame_codes(), _texture(), detail_model(), False))


@_program(face_results._decode, slow=SLOW_ON_TPU)
def decode_official_detail_result(chips: int) -> Call:
    return Call((flame_head(), flame_codes(), _texture(), detail_model().replace(blend=True), True))


@_program(detail_pictures._draw, slow=SLOW_ON_TPU)
def detail_picture(chips: int) -> Call:
    return Call((flame_head(), flame_codes(), detail_model(), PICTURE, False))


@_program(detail_maps._tangent_space, slow=SLOW_ON_TPU)
def normal_map(chips: int) -> Call:
    head, detail = flame_head(), detail_model()
    return Call((head, detail, head.template, array(*detail.mask.shape, 3)))


@_program(detail_maps._points)
def dense_points(chips: int) -> Call:
    head, detail = flame_head(), detail_model()
    return Call((detail, head, detail.mask, head.template))


@_program(tangents.uv_tangents)
def texture_tangents(chips: int) -> Call:
    head = flame_head()
    return Call((head, head.template))


# Emotion.


@_program(units.read_units)
def emotion_of_units(chips: int) -> Call:
    network = shapes_of(units.load_units_network())
    return Call((network, open_codes().expression, open_model().head.expression_names))


@_program(emotion_stage._read)
def judged_recogniser(chips: int) -> Call:
    network = EmotionMLP(units.LAYERS, units.FEATURES)
    known = variables(network, array(1, len(units.ARKIT_UNITS)))
    codes = array(chips, len(units.ARKIT_UNITS))
    return Call((network, known["params"], known["batch_stats"], codes), (3,))


@_program(emotion_measures._resampled)
def measures_with_intervals(chips: int) -> Call:
    told, rows = array(POINTS), jax.ShapeDtypeStruct((emotion_measures.DRAWS, POINTS), jnp.int32)
    return Call((emotion_measures._affect_measures, (told, told), rows))


@_program(emotion_networks._read_image)
def emotion_resnet50(chips: int) -> Call:
    network = shapes_of(fold_batch_norms(ones(variables(EmotionResNet50(), array(1, SIDE, SIDE, 3)))))
    return Call(("emotion_resnet50", network, array(chips, SIDE, SIDE, 3)), (2,))


@_program(emotion_networks._read_image, slow=SLOW_ON_TPU)
def emotion_swin(chips: int) -> Call:
    network = variables(EmotionSwin(), array(1, SIDE, SIDE, 3))
    return Call(("emotion_swin", network, array(chips, SIDE, SIDE, 3)), (2,))


@_program(emotion_networks._read_image, slow=SLOW_ON_TPU)
def emonet(chips: int) -> Call:
    network = variables(EmoNet(), array(1, EMONET_SIZE, EMONET_SIZE, 3))
    return Call(("emonet", network, array(chips, SIDE, SIDE, 3)), (2,))


@_program(emotion_networks._read_codes)
def emotion_mlp(chips: int) -> Call:
    network = variables(EmotionMLP(), array(1, CODE_INPUTS + DETAIL_INPUTS))
    codes = batch_of(flame_codes(), chips)
    return Call((network, codes.shape, codes.expression, codes.jaw, codes.detail), (1, 2, 3, 4))


# Coarse stages: a step's gradient, with the official encoders at 224 pixels, and with the open ones.


def _coarse_loss(
    trained: dict, fixed: dict, statistics: dict, batch: dict, head: FaceHead, judges: Judges, mask: Any, kind: str
) -> jax.Array:
    official = kind != "open"
    encoders = OfficialEncoders(dtype=jnp.bfloat16) if official else OpenEncoders(head)
    weights = {"flame": DECA_WEIGHTS, "expression": EMOCA_COARSE_WEIGHTS, "open": OPEN_WEIGHTS}[kind]
    name = "expression" if kind == "open" else kind
    same = {"same_shape": "exchange", "per_identity": 2} if kind == "flame" else {}
    coarse = Coarse(head, encoders, name, weights, judges, uv_mask=mask, **same)
    key = jax.random.key(0)
    return whole_loss(coarse, {**fixed, **trained}, statistics, batch, key, train=True)[0].total


DECA_WEIGHTS = {name: weight for name, weight in DECA_COARSE_WEIGHTS.items() if name != "identity"}
OPEN_WEIGHTS = {"emotion": 1.0, "photometric": 2.0, "eyes_mediapipe": 0.5}
# As a training step compiles it (training/step.py).
_coarse_gradient = jax.jit(jax.value_and_grad(_coarse_loss), static_argnames="kind", compiler_options=CUBLAS)


@_program(_coarse_gradient, slow=SLOW_ON_TPU, kept=OF_RESNET)
def deca_coarse_gradient(chips: int) -> Call:
    """E_flame, two images of a person with each other's shape."""
    return _official_coarse(chips, "flame")


@_program(_coarse_gradient, slow=SLOW_ON_TPU, kept=2 * OF_RESNET)
def emoca_coarse_gradient(chips: int) -> Call:
    """E_expression with emotion consistency."""
    return _official_coarse(chips, "expression")


@_program(_coarse_gradient, slow=SLOW_ON_TPU)
def open_coarse_gradient(chips: int) -> Call:
    """E_expression of the open head, with what ships as judge."""
    head = open_model().head
    encoders = OpenEncoders(head)
    parameters, statistics = jax.eval_shape(lambda: encoders.with_expression(*encoders.start(jax.random.key(0))))
    count = TRAINED_AT_ONCE * chips
    batch = {"images": array(count, OPEN_SIZE, OPEN_SIZE, 3), "landmarks_mediapipe": array(count, POINTS, 3)}
    judges = Judges(emotion=shapes_of(open_model().expression), eye=OPEN_EYE)
    return _coarse_call(parameters, "expression", statistics, batch, shapes_of(head), judges, None, "open")


def _official_coarse(chips: int, kind: str) -> Call:
    networks = {"flame": encoders.FLAME_OUTPUTS} | (
        {"expression": encoders.EXPRESSION_OUTPUTS} if kind == "expression" else {}
    )
    found = {name: variables(encoders.Encoder(outputs), array(1, SIDE, SIDE, 3)) for name, outputs in networks.items()}
    parameters = {name: part["params"] for name, part in found.items()}
    statistics = {name: part["batch_stats"] for name, part in found.items()}
    count = TRAINED_AT_ONCE * chips
    batch = {"images": array(count, SIDE, SIDE, 3), "landmarks": array(count, 68, 3)}
    emotion = shapes_of(fold_batch_norms(ones(variables(EmotionResNet50(), array(1, SIDE, SIDE, 3)))))
    judges = Judges(emotion=emotion if kind == "expression" else None)
    return _coarse_call(parameters, kind, statistics, batch, flame_head(), judges, array(UV_SIDE, UV_SIDE), kind)


def _coarse_call(
    parameters: Any, trained: str, statistics: Any, batch: Any, head: Any, judges: Judges, mask: Any, kind: str
) -> Call:
    fixed = {name: part for name, part in parameters.items() if name != trained}
    return Call(({trained: parameters[trained]}, fixed, statistics, batch, head, judges, mask), (3,), {"kind": kind})


# The renderer, and decoding with gradients.


@_program(render.rasterize)
def rasterize(chips: int) -> Call:
    return _drawing(chips, size=(SIDE, SIDE))


@_program(render.rasterize, slow=SLOW_ON_TPU)
def rasterize_in_perspective(chips: int) -> Call:
    return _drawing(chips, size=(SIDE, SIDE), perspective=True, cull="back")


@_program(picture._draw_band, slow=SLOW_ON_TPU)
def render_band(chips: int) -> Call:
    """A strip of a picture of 512 pixels, 3 x 3 samples each."""
    size, samples = 512, 3
    vertices, faces = _mesh()
    head = open_model().head
    shown = (vertices, vertices, shapes_of(head.uv), vertices, faces, array(len(head.faces), dtype=jnp.int32))
    pictures, camera = (array(size, size, 3),), (array(3, 3), array(), array())
    rows = picture.BAND_PIXELS // (size * samples**2)
    options = {"rows": rows, "size": size, "samples": samples, "style": picture.STUDIO_STYLE}
    return Call((*shown, pictures, camera, array(dtype=jnp.int32)), options=options)


def _coverage(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    fragments = render.rasterize(vertices, faces, (SIDE, SIDE))
    alpha = (fragments.face_index >= 0).astype(jnp.float32)[..., None]
    return jnp.sum(render.antialias(alpha, fragments, vertices, faces) ** 2)


def _outline(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    return jnp.sum(render.soft_silhouette(vertices, faces, (SIDE, SIDE)) ** 2)


def _blended(vertices: jax.Array, faces: jax.Array) -> jax.Array:
    return jnp.sum(render.soft_rasterize(vertices, faces, vertices, (SIDE, SIDE)) ** 2)


def _mip_mapped(
    vertices: jax.Array, faces: jax.Array, uv: jax.Array, uv_faces: jax.Array, texture: jax.Array
) -> jax.Array:
    fragments = render.rasterize(vertices, faces, (SIDE, SIDE), perspective=True)
    right, down = (
        render.interpolate(slope, uv, uv_faces)
        for slope in render.barycentric_slopes(fragments, vertices, faces, perspective=True)
    )
    level = render.mip_level(right, down, texture.shape[:2])
    place = render.interpolate(fragments, uv, uv_faces)
    return jnp.sum(render.sample_texture(render.mip_pyramid(texture), place, level=level) ** 2)


@_program(jax.value_and_grad(_mip_mapped, argnums=(0, 4)), slow=SLOW_ON_TPU)
def mip_mapped_gradient(chips: int) -> Call:
    head = shapes_of(open_model().head)
    vertices = batch_of(head.template, TRAINED_AT_ONCE * chips)
    return Call((vertices, head.faces, head.uv, head.uv_faces, _texture()), (0,))


@_program(jax.value_and_grad(_coverage), slow=SLOW_ON_TPU)
def antialias_gradient(chips: int) -> Call:
    return _drawing(chips)


@_program(jax.value_and_grad(_outline), slow=SLOW_ON_TPU)
def soft_silhouette_gradient(chips: int) -> Call:
    return _drawing(chips)


@_program(jax.value_and_grad(_blended), slow=SLOW_ON_TPU)
def soft_rasterize_gradient(chips: int) -> Call:
    return _drawing(chips)


@_program(render.soft_fragments, slow=SLOW_ON_TPU)
def soft_fragments(chips: int) -> Call:
    return _drawing(chips, size=(SIDE, SIDE), blur_radius=float(default_blur_radius(1e-4)))


def _energy(edges: render.EdgeStyle, head: FaceHead, codes: Codes) -> jax.Array:
    return jnp.sum(model.decode(head, codes, (SIDE, SIDE), edges=edges).rendering ** 2)


@_program(jax.value_and_grad(functools.partial(_energy, "hard"), argnums=1))
def decode_gradient(chips: int) -> Call:
    return Call((shapes_of(open_model().head), batch_of(open_codes(), TRAINED_AT_ONCE * chips)), (1,))


@_program(jax.value_and_grad(functools.partial(_energy, "antialias"), argnums=1), slow=SLOW_ON_TPU)
def decode_antialias_gradient(chips: int) -> Call:
    return Call((shapes_of(open_model().head), batch_of(open_codes(), TRAINED_AT_ONCE * chips)), (1,))


def _drawing(chips: int, **options: Any) -> Call:
    vertices, faces = _mesh()
    return Call((batch_of(vertices, TRAINED_AT_ONCE * chips), faces), (0,), options)


def _mesh() -> tuple[Shape, Shape]:
    head = open_model().head
    return shapes_of((head.template, head.faces))


def _texture() -> Shape:
    return array(layout.TEXTURE_SIZE, layout.TEXTURE_SIZE, 3)


@functools.cache
def _seen() -> SeenFace:
    image, landmarks = array(SIDE, SIDE, 3), array(POINTS, 3)
    crop = jax.eval_shape(look._expression_crop, landmarks)
    read = jax.eval_shape(look.read, shapes_of(open_model().expression), image, crop)
    return SeenFace(to_pixels=array(3, 3), image=image, landmarks=landmarks, crop=crop, read=read)
