"""The official code's own error in float32 (its tolerance.json): the unit in which network outputs may differ."""

from __future__ import annotations

from parity.golden import Tolerance

ALLOWED = 10
"""Times the noise floor."""
FLOOR = {
    "E_flame": 9.6e-7,
    "E_flame_pooled": 2.4e-6,
    "E_expression": 8.9e-7,
    "E_expression_pooled": 1.6e-6,
    "E_detail": 8.7e-7,
    "E_detail_pooled": 1.5e-6,
    "uv_z": 2.3e-6,
    "vggface2_feat": 1.8e-6,
}
"""Largest error of float32 against float64, relative to the output's root mean square."""


def within_noise(output: str) -> Tolerance:
    """Ten times the noise floor of one of FLOOR."""
    return Tolerance(relative=ALLOWED * FLOOR[output], of="rms")


NETWORK = within_noise("E_flame_pooled")
"""For network outputs whose floor was not measured: that of the most sensitive ResNet trunk that was."""

GRADIENT = Tolerance(relative=1e-4, outliers=0.3, farthest=0.05)
"""Of a network's output to its image. A ReLU whose input is zero but for rounding passes the gradient on or not, which
changes the image's over the unit's whole field of view, by up to a fiftieth of its largest value: moving the input by
the last bit does the same, and so does a processor without fused products, which on seed 1 moves 11 % of the emotion
network's gradient by more than 1e-4, at most by .017. Everything else agrees to the reference's 1e-4."""
