"""Binary glTF from strangers: announced sizes are not believed, and small files stay small problems."""

import time
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from emoca_jax.errors import InputError
from emoca_jax.export.png import png_bytes
from emoca_jax.mesh_view.mesh_files import read_mesh
from emoca_jax.mesh_view.turntable import gif
from tests.mesh_view.test_mesh_files import glb_bytes, save, square_glb

BLOCK = np.zeros((4, 3), np.float32).tobytes() + np.array([0, 1, 2, 0], np.uint16).tobytes()
VIEWS = [{"buffer": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 8}]


def document(**changes):
    return {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": VIEWS,
        "buffers": [{"byteLength": len(BLOCK)}],
    } | changes


def with_position(views=VIEWS, **changes):
    first, second = document()["accessors"]
    accessors = [{key: value for key, value in (first | changes).items() if value is not None}, second]
    return document(accessors=accessors, bufferViews=views)


SPARSE = {"indices": {"bufferView": 1, "componentType": 5123}, "values": {"bufferView": 0}}
HOSTILE = {
    "count": with_position(count=10**12, bufferView=None),
    "many zeros": with_position(count=3 * 10**6, bufferView=None),
    "negative": with_position(count=-1),
    "text": with_position(count="4"),
    "stride 0": with_position([VIEWS[0] | {"byteStride": 0}, VIEWS[1]], count=2 * 10**9),
    "negative offset": with_position(byteOffset=-8),
    "huge sparse": with_position(count=4, bufferView=None, sparse=SPARSE | {"count": 10**12}),
    "negative sparse": with_position(count=4, bufferView=None, sparse=SPARSE | {"count": -1}),
    "fewer normals": document(
        accessors=[*document()["accessors"], {"bufferView": 0, "componentType": 5126, "count": 2, "type": "VEC3"}],
        meshes=[{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 2}, "indices": 1}]}],
    ),
    "nodes": document(nodes=[{"mesh": 0}, *({} for _ in range(200_000))]),
    "deep": document(nodes=[{"children": [i + 1]} for i in range(20_000)] + [{"mesh": 0}], scenes=[{"nodes": [0]}]),
    "instances": document(nodes=[{"mesh": 0}] * 40_000),
    "primitives": document(meshes=[{"primitives": document()["meshes"][0]["primitives"] * 100_000}]),
    "not finite": document(nodes=[{"mesh": 0, "translation": [1e308, 1e400, 0], "scale": [1e308] * 3}]),
    "lists": [[], {}],
    "nested": {"extras": eval("[" * 60 + "]" * 60)},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_refused_at_once(tmp_path, kind):
    path = save(tmp_path / "a.glb", glb_bytes(HOSTILE[kind], BLOCK))
    started = time.monotonic()
    with pytest.raises(InputError, match=r"a\.glb: .") as caught:
        read_mesh(path)
    assert time.monotonic() - started < 5 and "\n" not in str(caught.value)
    if path.stat().st_size < 10_000:  # the others would take long to watch
        tracemalloc.start()
        with pytest.raises(InputError):
            read_mesh(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 500e6


def test_a_texture_of_absurd_size(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    data = square_glb(picture=(tmp_path / "a.png").read_bytes())
    with pytest.raises(InputError, match=r"texture (of more than 100 megapixels|that cannot be read)"):
        read_mesh(save(tmp_path / "a.glb", data))


def test_one_picture_is_unpacked_once(tmp_path):
    """However many parts wear it."""
    picture = png_bytes(np.zeros((2048, 2048, 3), np.uint8))
    primitive = {"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}
    path = save(tmp_path / "a.glb", square_glb(picture=picture, meshes=[{"primitives": [primitive] * 100}]))
    tracemalloc.start()
    assert len(read_mesh(path).pictures) == 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6


def test_a_turntable_keeps_no_frames():
    alive = []

    def frames(count):
        for number in range(count):
            frame = np.full((256, 256, 3), 255, np.uint8)
            frame[:, number * 4 : number * 4 + 8] = (200, 30, 30)
            alive.append(tracemalloc.get_traced_memory()[0])
            yield frame

    tracemalloc.start()
    packed = gif(frames(2), frames(60))
    tracemalloc.stop()
    assert max(alive[10:]) - min(alive[10:]) < 3 * 256 * 256 * 3 and packed[:6] == b"GIF89a"


def test_an_obj_of_very_many_materials(tmp_path):
    triangle = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
    text = triangle + "".join(f"usemtl m{index}\nf 1 2 3\n" for index in range(20_000))
    with pytest.raises(InputError, match="more than 1000 materials"):
        read_mesh(save(tmp_path / "a.obj", text.encode()))
