"""The segmentation network against MediaPipe's own runtime, which alone has its last operation.

golden_open_networks.npz: recorded by scripts/record_network_goldens.py.
"""

import jax
import numpy as np

from emoca_jax.nets.mediapipe.selfie_segmentation import SelfieSegmentation
from emoca_jax.nets.weights import load_shipped_weights
from tests.nets.test_face_detection import GOLDEN

STEP = 4


def test_a_person_is_seen_as_mediapipe_does_upright_and_tilted():
    with np.load(GOLDEN) as golden:
        crops, expected = golden["crops"].astype(np.float32) / 255, golden["person"]
    pictures = np.pad(crops, ((0, 0), (32, 32), (32, 32), (0, 0)), mode="edge")
    logits = jax.jit(SelfieSegmentation().apply)(load_shipped_weights("selfie_segmentation"), pictures)
    # Of 1; measured 2e-5.
    np.testing.assert_allclose(jax.nn.sigmoid(np.asarray(logits))[:, 1::STEP, 2::STEP], expected, atol=2e-4)
    assert ((expected > 0.9).mean(axis=(1, 2)) > 0.3).all() and ((expected < 0.1).mean(axis=(1, 2)) > 0.3).all()
