"""The job that every renderer gets: orthographic depth, and where it can the face, of new vertices.

A script calls `run(prepare)`. It is started as `SCRIPT MESH.npz`, where the file holds `vertices` [batch, V, 3] (image
plane x right, y down, [-1, 1], depth grows away), `faces` [F, 3], `size`, `runs` and, as ours sees it, `depth`
[batch, size, size]; it prints one line of JSON. Vertices change from image to image, so whatever a renderer derives
from them (buffers, search trees) is part of the time.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

SECONDS = 3.0
"""Runs stop after this long; one there is in any case."""


class Prepared(NamedTuple):
    """forward() -> depth [batch, size, size] at pixel centres, not finite or above 1e6 on the background. gradient()
    does a forward and a backward pass of the mean depth to the vertices, [batch, V, 3]; None where there is none."""

    package: str
    forward: Callable[[], np.ndarray]
    gradient: Callable[[], np.ndarray] | None = None
    note: str = ""


def run(prepare: Callable[[np.ndarray, np.ndarray, int], Prepared]) -> None:
    data = np.load(sys.argv[1])
    vertices, faces, size, runs = data["vertices"], data["faces"], int(data["size"]), int(data["runs"])
    prepared = prepare(vertices, faces, size)
    result: dict[str, Any] = {"package": prepared.package, "version": find_version(prepared.package)}
    result["note"] = prepared.note
    result["forward"], depth = measure(prepared.forward, runs)
    depth, ours = np.asarray(depth, np.float64), data["depth"]
    covered, expected = np.isfinite(depth) & (np.abs(depth) < 1e6), np.isfinite(ours)
    both = covered & expected
    result["same_coverage"] = float((covered == expected).mean())
    result["depth_error"] = float(np.median(np.abs(depth[both] - ours[both]))) if both.any() else None
    if prepared.gradient is not None:
        result["gradient"], gradient = measure(prepared.gradient, runs)
        result["finite_gradient"] = bool(np.isfinite(gradient).all() and np.any(gradient))
    result["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(result))


def find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout
        return ""


def measure(function: Callable[[], np.ndarray], runs: int) -> tuple[dict[str, float], np.ndarray]:
    began = time.perf_counter()
    answer = function()
    first = time.perf_counter() - began
    times = []
    while not times or (len(times) < runs and sum(times) + first < SECONDS):
        start = time.perf_counter()
        answer = function()
        times.append(time.perf_counter() - start)
    timing = {"first": first, "median": float(np.median(times)), "fastest": min(times), "runs": len(times)}
    return timing, answer


def rays(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Origins [size, size, 3] on the image plane in front of everything, and the one direction, for ray casters."""
    centre = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
    origins = np.stack([*np.meshgrid(centre, centre), np.full((size, size), -START, np.float32)], -1)
    return origins.astype(np.float32), np.array([0, 0, 1], np.float32)


START = 10.0
"""Depth in front of the image plane at which rays start."""
