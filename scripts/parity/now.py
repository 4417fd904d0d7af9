"""NoW's face sphere and alignment (float64 NumPy on both sides)."""

from __future__ import annotations

from collections.abc import Iterator

from emoca_jax.evaluation.now import face_sphere, similarity_alignment
from parity.assets import Assets
from parity.golden import Comparison, Golden, Tolerance

DOUBLE = Tolerance(relative=1e-9)


def compare(assets: Assets, golden: Golden) -> Iterator[Comparison]:
    yield from golden.inputs("gt_landmarks_mm")
    target = golden["gt_landmarks_mm"]
    sphere = face_sphere(target)
    yield from golden.check("mask_centre", sphere.centre, DOUBLE)
    yield from golden.check("mask_radius", sphere.radius, DOUBLE)
    for case in ("proper", "reflected"):
        yield from golden.inputs(f"{case}/pred_landmarks_m", f"{case}/points_m")
        predicted = golden[f"{case}/pred_landmarks_m"]
        alignment = similarity_alignment(target, predicted)
        found = alignment.similarity
        # 1 - trace^2 cancels: its digits end where those of 1 do.
        yield from golden.check(f"{case}/d", alignment.residual, Tolerance(absolute=1e-12))
        yield from golden.check(f"{case}/Z", found.apply(predicted), DOUBLE)
        yield from golden.check(f"{case}/scale", found.scale, DOUBLE)
        # The challenge multiplies row vectors.
        yield from golden.check(f"{case}/rotation", found.rotation.T, DOUBLE)
        yield from golden.check(f"{case}/translation", found.translation, DOUBLE)
        yield from golden.check(f"{case}/aligned_mm", found.apply(golden[f"{case}/points_m"]), DOUBLE)
