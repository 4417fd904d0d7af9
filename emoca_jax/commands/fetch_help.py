"""`emoca fetch-help`: which official page gives which file, under which licence, and where to put it."""

from __future__ import annotations

import argparse
import textwrap
from typing import NamedTuple

WIDTH = 100

INTRODUCTION = (
    "The official weights belong to their authors, so they are not part of this project. Register where a page asks "
    "for it and download with your own browser: `emoca` never asks for a password and never downloads them for you. "
    "Put everything below one folder, say assets/, in any arrangement and under any names: `emoca convert assets "
    "--output model` tells files by their content."
)
ENDING = (
    "Not everything is needed. To reconstruct with EMOCA: EMOCA alone (its checkpoint carries a copy of FLAME, of the "
    "uv layout and of the mask for detail), better with FLAME's and DECA's data files. Without a texture model albedo "
    "is grey. For `emoca emotion`: one of the emotion networks. VGGFace2 and VGG-19 serve training losses only."
)


class Entry(NamedTuple):
    """One download."""

    title: str
    files: str
    page: str
    licence: str
    put: str
    note: str = ""


ENTRIES = (
    Entry(
        "EMOCA (v1, v2)",
        "run folders with cfg.yaml and detail/checkpoints/**/*.ckpt: EMOCA, EMOCA_v2_mp, EMOCA_v2_lr_mse_20 "
        "(the official "
        "default), EMOCA_v2_lr_cos_1.5",
        "https://emoca.is.tue.mpg.de (register and accept the licence); the official script then takes "
        "https://download.is.tue.mpg.de/emoca/assets/EMOCA/models/EMOCA_v2_lr_mse_20.zip and the like",
        "non-commercial scientific research: https://emoca.is.tue.mpg.de/license.html",
        "unzip to assets/EMOCA/models/",
        "Keep the sub-folders below checkpoints/: a slash inside the checkpoint's name made them, and the best one is "
        "found by the number at the end.",
    ),
    Entry(
        "FLAME",
        "generic_model.pkl (2019, 2020 or 2023; EMOCA and DECA were trained with 2020), or flame2023_Open.pkl",
        "https://flame.is.tue.mpg.de, Download (register); or FLAME.zip of EMOCA's assets: "
        "https://download.is.tue.mpg.de/emoca/assets/FLAME.zip",
        "https://flame.is.tue.mpg.de/modellicense.html; FLAME 2023 Open is CC BY 4.0",
        "assets/FLAME/geometry/",
    ),
    Entry(
        "Landmarks, uv layout and masks",
        "landmark_embedding.npy, head_template.obj, uv_face_mask.png, uv_face_eye_mask.png, "
        "fixed_displacement_256.npy, "
        "texture_data_256.npy; and mediapipe_landmark_embedding.npz (EMOCA v2)",
        "https://github.com/yfeng95/DECA/tree/master/data; MediaPipe's embedding: https://flame.is.tue.mpg.de "
        "or EMOCA's "
        "FLAME.zip",
        "non-commercial scientific research: LICENSE of the DECA repository",
        "assets/FLAME/geometry/ and assets/FLAME/mask/",
    ),
    Entry(
        "Albedo from the Basel Face Model",
        "FLAME_albedo_from_BFM.npz",
        "nobody may pass it on: download BFM 2017 (model2017-1_bfm_nomouth.h5) from "
        "https://faces.dmi.unibas.ch/bfm/ and "
        "run col_to_tex.py of https://github.com/TimoBolkart/BFM_to_FLAME",
        "the Basel Face Model's licence, on its page",
        "assets/FLAME/texture/",
        "The texture model that EMOCA and DECA were trained with.",
    ),
    Entry(
        "FLAME texture space",
        "FLAME_texture.npz",
        "https://flame.is.tue.mpg.de, Download (register)",
        "non-commercial; the licence stands beside the download",
        "assets/FLAME/texture/",
        "In place of BFM's; codes then mean other colours than in training.",
    ),
    Entry(
        "DECA",
        "deca_model.tar",
        "DECA.zip of EMOCA's assets: https://download.is.tue.mpg.de/emoca/assets/DECA.zip; or the link in "
        "fetch_data.sh of "
        "https://github.com/yfeng95/DECA",
        "non-commercial scientific research: LICENSE of the DECA repository",
        "assets/DECA/data/",
    ),
    Entry(
        "Emotion networks on images",
        "run folders ResNet50 and SWIN-B",
        "https://emoca.is.tue.mpg.de (register); then "
        "https://download.is.tue.mpg.de/emoca/assets/EmotionRecognition/image_based_networks/ResNet50.zip and "
        "SWIN-B.zip",
        "non-commercial scientific research: https://emoca.is.tue.mpg.de/license.html",
        "unzip to assets/EmotionRecognition/image_based_networks/",
    ),
    Entry(
        "EMO-MLP: emotion from the 3D face",
        "run folder EMOCA-emorec (or EMOCA_detail-emorec)",
        "https://emoca.is.tue.mpg.de (register); then "
        "https://download.is.tue.mpg.de/emoca/assets/EmotionRecognition/facerec_based_models/EMOCA-emorec.zip",
        "non-commercial scientific research: https://emoca.is.tue.mpg.de/license.html",
        "unzip to assets/EmotionRecognition/face_reconstruction_based/",
    ),
    Entry(
        "EmoNet",
        "pretrained/emonet_8.pth (the one with 8 classes)",
        "https://github.com/face-analysis/emonet",
        "CC BY-NC-ND 4.0",
        "assets/EmotionRecognition/",
    ),
    Entry(
        "VGGFace2 ResNet-50",
        "resnet50_ft_weight.pkl",
        "https://github.com/cydonia999/VGGFace2-pytorch (link in its README); or FaceRecognition.zip of EMOCA's "
        "assets: "
        "https://download.is.tue.mpg.de/emoca/assets/FaceRecognition.zip",
        "code MIT; the weights come from VGGFace2: https://www.robots.ox.ac.uk/~vgg/data/vgg_face2/",
        "assets/FaceRecognition/",
    ),
    Entry(
        "VGG-19",
        "vgg19-dcbb9e9d.pth",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth (torchvision)",
        "torchvision is BSD-3-Clause; the weights were trained on ImageNet, which is for non-commercial research",
        "assets/torchvision/",
    ),
)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("fetch-help", help="say where the official weights come from and where to put them")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print the table of downloads; 0."""
    print(help_text())
    return 0


def help_text() -> str:
    """The whole text, wrapped for a terminal."""
    blocks = [textwrap.fill(INTRODUCTION, WIDTH)]
    for entry in ENTRIES:
        lines = [entry.title]
        for label, text in (
            ("files", entry.files),
            ("from", entry.page),
            ("licence", entry.licence),
            ("put into", entry.put),
            ("note", entry.note),
        ):
            if text:
                lines.append(_labelled(label, text))
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, textwrap.fill(ENDING, WIDTH)])


def _labelled(label: str, text: str) -> str:
    indent = " " * 11
    # Addresses stay whole, so that they can be clicked.
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"  {label:9}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
