"""Meshes and the brute-force rasteriser that the render tests compare with."""

import numpy as np

from tests.shared_data import shared_path

VERTICES, FACES = 24, 40
"""Of a tangle."""


def golden(name: str) -> dict[str, np.ndarray]:
    """Arrays the official code computed, by name."""
    with np.load(shared_path(f"reference/golden/seed0/{name}.npz")) as file:
        return {key: file[key] for key in file.files}


def head_obj() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces, uv and uv faces of the FLAME topology."""
    faces, uv, uv_faces = [], [], []
    for line in shared_path("reference/assets/head_template.obj").read_text().splitlines():
        kind, *words = line.split() or [""]
        if kind == "vt":
            uv.append([float(word) for word in words[:2]])
        elif kind == "f":
            corners = [[int(index) - 1 for index in word.split("/")[:2]] for word in words[:3]]
            faces.append([corner[0] for corner in corners])
            uv_faces.append([corner[1] for corner in corners])
    return np.array(faces, np.int32), np.array(uv, np.float32), np.array(uv_faces, np.int32)


def centres(size: int) -> np.ndarray:
    return (2 * np.arange(size) + 1) / size - 1


def edge_functions(triangle: np.ndarray, height: int, width: int) -> np.ndarray:
    """[height, width, 3] float64, opposite each corner; broadcasts over leading pixel dimensions of `triangle`."""
    x, y = centres(width), centres(height)[:, None]
    triangle = triangle.astype(np.float64)

    def edge(a, b):
        return (b[..., 0] - a[..., 0]) * (y - a[..., 1]) - (b[..., 1] - a[..., 1]) * (x - a[..., 0])

    a, b, c = triangle[..., 0, :], triangle[..., 1, :], triangle[..., 2, :]
    return np.stack([edge(b, c), edge(c, a), edge(a, b)], axis=-1)


def inside(triangle: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which pixel centres the triangle owns by the top-left rule, one edge at a time."""
    values = edge_functions(triangle, height, width)
    area = values.sum(-1)[0, 0]
    if not np.isfinite(area) or area == 0:
        return np.zeros((height, width), bool)
    owned = np.ones((height, width), bool)
    for opposite in range(3):
        start, end = triangle[(opposite + 1) % 3], triangle[(opposite + 2) % 3]
        along = (end - start) * np.sign(area)
        top_left = along[1] < 0 or (along[1] == 0 and along[0] > 0)
        value = values[..., opposite] * np.sign(area)
        owned &= (value > 0) | ((value == 0) & top_left)
    return owned


def brute_force(vertices: np.ndarray, faces: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Face index and depth, every face against every pixel in float64."""
    index, depth = np.full((height, width), -1), np.full((height, width), np.inf)
    for number, face in enumerate(faces):
        triangle = vertices[face]
        values = edge_functions(triangle, height, width)
        with np.errstate(invalid="ignore", divide="ignore"):
            here = (values * triangle[:, 2]).sum(-1) / values.sum(-1)
        nearer = inside(triangle, height, width) & (here < depth)
        index[nearer], depth[nearer] = number, here[nearer]
    return index, depth


def tangle(seed: int, images: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Faces that share vertices: slivers, faces of no area or seen edge-on, faces through the camera, not finite."""
    rng = np.random.default_rng(seed)
    vertices = rng.uniform(-1.3, 1.3, (images, VERTICES, 3))
    if kind == "slivers":
        vertices[..., :2] = vertices[..., :1] * rng.uniform(-1, 1, (images, 1, 2)) + rng.normal(
            0, 10.0 ** rng.uniform(-8, -1, (images, VERTICES, 1)), (images, VERTICES, 2)
        )
    if kind == "grid":
        vertices = np.round(vertices * 8) / 8
    if kind == "huge":
        vertices *= 10.0 ** rng.uniform(-3, 8, (images, VERTICES, 1))
    if kind == "broken":
        vertices[:, :3] = [[np.nan, 0, 0], [np.inf, 0, 0], [0, 0, -np.inf]]
    return vertices.astype(np.float32), rng.integers(0, VERTICES, (FACES, 3)).astype(np.int32)
