"""A made-up FLAME in our form: what the reference's generator draws, before it goes into any file."""

import functools
import importlib.util
from types import ModuleType

import numpy as np

from emoca_jax.flame import FaceHead, LandmarkEmbedding
from tests.shared_data import shared_path

SHAPES, EXPRESSIONS = 100, 50
FIRST_EXPRESSION = 300
"""FLAME 2020's shapedirs: 300 identity directions, then 100 of expression; EMOCA takes the first 100 and 50."""


@functools.cache
def reference_module() -> ModuleType:
    """The generator script of the reference folder as a module."""
    spec = importlib.util.spec_from_file_location("make_reference", shared_path("reference/make_reference.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def official_arrays(seed: int = 0) -> dict:
    """The dictionary that the official pickle would hold."""
    reference = reference_module()
    return reference.flame_model(reference.Draw(seed), str(shared_path("reference/assets/head_template.obj")))


@functools.cache
def landmark_tables() -> dict[str, np.ndarray]:
    """The landmark tables of the public repositories, as plain arrays (a pickle of known origin, some torch)."""
    table = np.load(shared_path("reference/assets/landmark_embedding.npy"), allow_pickle=True, encoding="latin1")[()]
    return {key: np.asarray(value) for key, value in table.items()}


@functools.cache
def made_up_head(seed: int = 0) -> FaceHead:
    model, tables = official_arrays(seed), landmark_tables()
    mediapipe = np.load(shared_path("reference/assets/mediapipe_landmark_embedding.npz"))
    _, _, uv, uv_faces = reference_module().load_obj(str(shared_path("reference/assets/head_template.obj")))

    def single(array) -> np.ndarray:
        return np.asarray(array, np.float32)

    def embedding(face_index, barycentric) -> LandmarkEmbedding:
        return LandmarkEmbedding(np.asarray(face_index, np.int32), single(barycentric))

    return FaceHead(
        template=single(model["v_template"]),
        shape_dirs=single(model["shapedirs"][..., :SHAPES]),
        expression_dirs=single(model["shapedirs"][..., FIRST_EXPRESSION : FIRST_EXPRESSION + EXPRESSIONS]),
        pose_dirs=single(model["posedirs"]),
        joint_regressor=single(model["J_regressor"].toarray()),
        skin_weights=single(model["weights"]),
        faces=model["f"].astype(np.int32),
        uv=single(uv),
        uv_faces=uv_faces.astype(np.int32),
        face_part=np.zeros(len(model["f"]), np.int32),
        landmarks_static=embedding(tables["static_lmk_faces_idx"], tables["static_lmk_bary_coords"]),
        landmarks_contour=embedding(tables["dynamic_lmk_faces_idx"], tables["dynamic_lmk_bary_coords"]),
        landmarks_full=embedding(tables["full_lmk_faces_idx"][0], tables["full_lmk_bary_coords"][0]),
        landmarks_mediapipe=embedding(mediapipe["lmk_face_idx"], mediapipe["lmk_b_coords"]),
        mediapipe_index=mediapipe["landmark_indices"].astype(np.int32),
        name=f"made-up {seed}",
    )
