"""`emoca render` as a user types it: pictures, turntables, and a sentence for every bad input."""

import io

import numpy as np
import pytest
import trimesh
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from trimesh.visual import ColorVisuals

from emoca_jax.cli import main
from emoca_jax.commands import compile_cache
from emoca_jax.errors import InputError
from emoca_jax.files.whole import MARK
from emoca_jax.mesh_view import picture as mesh_picture

SMALL = ("--size", "48", "--frames", "4")


@pytest.fixture
def box(tmp_path, monkeypatch):
    """A red box in the current folder; the home folder's cache is left alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compile_cache, "enable", lambda: None)
    mesh = trimesh.creation.box((1, 1, 2))
    assert isinstance(mesh.visual, ColorVisuals)
    mesh.visual.vertex_colors = [255, 0, 0, 255]
    (tmp_path / "box.ply").write_bytes(mesh.export(file_type="ply"))
    return tmp_path


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def test_a_picture_beside_the_caller(box, capsys):
    assert main(["render", "box.ply", *SMALL]) == 0
    picture = pixels(box / "box.png")
    assert picture.shape == (48, 48, 3)
    assert (picture[0, 0] == 255).all() and picture[24, 24, 0] > 100 and picture[24, 24, 1] == 0
    assert capsys.readouterr().out == "box.png: 12 faces\n"


def test_view_light_camera_and_background(box):
    options = ("--camera", "orthographic", "--light", "flat", "--background", "transparent")
    assert main(["render", "box.ply", "--output", "out/side.png", "--view=90,0", *options, *SMALL]) == 0
    picture = pixels(box / "out" / "side.png")
    covered = picture[..., 3] > 127
    # From the side the box is twice as wide as high.
    assert abs(covered.any(0).sum() - 2 * covered.any(1).sum()) <= 2
    np.testing.assert_array_equal(picture[24, 24], [255, 0, 0, 255])


def test_lamps_come_from_where_they_say(box):
    for name, light in ("left", "-1,0,0.3"), ("right", "1,0,0.3"):
        arguments = ["--view", "45,0", "--facets", f"--light={light}", "--output", f"{name}.png", *SMALL]
        assert main(["render", "box.ply", *arguments]) == 0
    left, right = pixels(box / "left.png")[24], pixels(box / "right.png")[24]
    assert left[12, 0] > left[40, 0] and right[12, 0] < right[40, 0]


def test_a_gif_turns_once(box):
    assert main(["render", "box.ply", "--turntable", *SMALL]) == 0
    with Image.open(box / "box.gif") as picture:
        assert isinstance(picture, GifImageFile)
        assert picture.n_frames == 4 and picture.info["loop"] == 0 and picture.size == (48, 48)
        widths = []
        for frame in range(4):
            picture.seek(frame)
            widths.append((np.array(picture.convert("RGB"))[..., 1] < 128).any(0).sum())
    assert widths[1] > 1.3 * widths[0] and abs(widths[0] - widths[2]) <= 1 and abs(widths[1] - widths[3]) <= 1


def test_an_mp4_of_odd_size_plays(box):
    av = pytest.importorskip("av")
    assert main(["render", "box.ply", "--output", "box.mp4", "--size", "49", "--frames", "3"]) == 0
    with av.open(io.BytesIO((box / "box.mp4").read_bytes())) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert [frame.shape for frame in frames] == [(50, 50, 3)] * 3
    assert frames[0][2, 2].min() > 245 and frames[0][25, 25, 0] > 2 * frames[0][25, 25, 1]


def test_only_pictures_of_ours_are_replaced(box, capsys):
    """A mesh's texture often has the mesh's name."""
    for name in ("box.png", "box.gif", "box.mp4"):
        (box / name).write_bytes(b"a texture")
        assert main(["render", "box.ply", "--output", name, *SMALL]) == 2
        assert "is there already" in capsys.readouterr().err and (box / name).read_bytes() == b"a texture"
        (box / name).unlink()
        assert [main(["render", "box.ply", "--output", name, *SMALL]) for _ in range(2)] == [0, 0]


BAD = {
    "missing.ply": "missing.ply: cannot be read",
    "box.ply --output box.bmp": ".png, .gif, .mp4",
    "box.ply --output folder.png": "is a folder",
    "box.ply --output box.png --turntable": "does not move",
    "box.ply --output box.gif --background transparent": "transparent",
    "box.ply --output box.ply/a.png": "cannot be written",
    "broken.glb": "broken.glb",
    "points.ply": "point cloud",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(box, capsys, line):
    (box / "folder.png").mkdir()
    (box / "broken.glb").write_bytes(b"glTF\2\0\0\0\x40\0\0\0")
    (box / "points.ply").write_bytes(trimesh.PointCloud(np.eye(3)).export(file_type="ply"))
    before = sorted(box.rglob("*"))
    assert main(["render", *line.split(), *SMALL]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("emoca: ") and err.count("\n") == 1 and BAD[line] in err
    assert sorted(box.rglob("*")) == before


@pytest.mark.parametrize(
    "option", ["--size 8", "--size 1.5", "--view up", "--view 0,91", "--light 0,0,0", "--background red", "--frames 1"]
)
def test_bad_options(box, option, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["render", "box.ply", *option.split()])
    assert ended.value.code == 2 and "is not" in capsys.readouterr().err


@pytest.mark.parametrize(("problem", "code"), [(InputError("too bad"), 2), (KeyboardInterrupt(), 130)])
def test_an_end_on_the_way_leaves_the_old_file(box, monkeypatch, capsys, problem, code):
    (box / "box.gif").write_bytes(MARK.encode())

    def broken(*_, **__):
        yield np.zeros((48, 48, 4), np.uint8)
        raise problem

    monkeypatch.setattr(mesh_picture, "draw_views", broken)
    assert main(["render", "box.ply", "--turntable", *SMALL]) == code
    assert capsys.readouterr().err == {2: "emoca: too bad\n", 130: "emoca: interrupted\n"}[code]
    assert (box / "box.gif").read_bytes() == MARK.encode() and not list(box.glob(".emoca*"))
