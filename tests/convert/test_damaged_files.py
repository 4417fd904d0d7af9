"""Official files that are damaged, contradict each other or are no official files; output that cannot be written."""

import os
import pickle

import numpy as np
import pytest

from emoca_jax.cli import main
from emoca_jax.convert.convert import convert
from emoca_jax.convert.report import DONE, FAILED
from emoca_jax.model_folder import read_model_folder
from tests.convert import official_files
from tests.convert.official_files import flame_with
from tests.flame.made_up_flame import landmark_tables, official_arrays


def listing(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mirrored_tables():
    return landmark_tables() | {"full_lmk_faces_idx": np.zeros((1, 67), np.int64)}


DAMAGED = {
    "no weights": (flame_with, {"J_regressor": None}, r"lacks 'J_regressor' of shape \(5, 5023\)"),
    "short": (flame_with, {"weights": np.zeros((5023, 4))}, r"'weights' has shape \(5023, 4\) .* \(5023, 5\)"),
    "no expression": (flame_with, {"shapedirs": np.zeros((5023, 3, 300))}, r"300 directions, expected at least 350"),
    "nan": (flame_with, {"v_template": np.full((5023, 3), np.nan)}, "'v_template' holds NaN"),
    "skeleton": (flame_with, {"kintree_table": np.zeros((2, 5), np.uint32)}, r"parents \(-1, 0, 0, 0, 0\)"),
    "words": (flame_with, {"v_template": np.zeros((5023, 3)), "f": ["a", None]}, "'f' has shape|make no sense"),
    "landmarks": (mirrored_tables, {}, r"'full_lmk_faces_idx' has shape \(67,\)"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_named_and_the_others_are_done(tmp_path, capsys, case):
    make, changes, message = DAMAGED[case]
    bad = tmp_path / "bad"
    if case == "landmarks":
        with bad.open("wb") as file:
            np.save(file, make(), allow_pickle=True)
    else:
        bad.write_bytes(pickle.dumps(make(**changes), protocol=2))
    official_files.write_plain(tmp_path / "good", "one.bin")
    assert main(["convert", str(bad), "--output", str(tmp_path / "a")]) == 2
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(capsys.readouterr().err)
    assert main(["convert", str(bad), str(tmp_path / "good"), "--output", str(tmp_path / "b")]) == 1
    assert "face_mask" in read_model_folder(tmp_path / "b").maps and not (tmp_path / "a").exists()


def test_triangles_of_another_mesh_are_refused(tmp_path):
    faces = official_arrays()["f"][::-1]
    (tmp_path / "flame.bin").write_bytes(pickle.dumps(flame_with(f=faces), protocol=2))
    official_files.write_plain(tmp_path / "plain", "mesh.txt")
    outcome = convert([tmp_path / "flame.bin", tmp_path / "plain"], tmp_path / "out")
    assert [report.state for report in outcome.reports] == [DONE, FAILED]
    assert "different triangles" in outcome.reports[1].notes[0]


def test_a_damaged_folder_is_made_anew_and_a_foreign_one_left_alone(tmp_path, capsys):
    official_files.write_plain(tmp_path / "a", "one.bin")
    output, words = tmp_path / "model", ["convert", str(tmp_path / "a"), "--output", str(tmp_path / "model")]
    for name, damage in (("maps.safetensors", b"x"), ("model.json", b'{"kind": "emoca_jax model", "format": 0}')):
        assert main(words) == 0
        (output / name).write_bytes(damage)
        assert main(words) == 0 and set(read_model_folder(output).maps) == {"face_mask"}
    (output / "model.json").write_text('{"kind": "a car"}')
    assert main(words) == 2 and "something else" in capsys.readouterr().err
    assert (output / "model.json").read_text() == '{"kind": "a car"}'


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (OSError(28, "No space left on device"), 2)])
def test_interrupted_or_out_of_space_leaves_the_folder_as_it_was(tmp_path, monkeypatch, capsys, stop, code):
    output = tmp_path / "model"
    official_files.write_plain(tmp_path / "first", "one.bin")
    official_files.write_plain(tmp_path / "second", "two.bin", "points.bin")
    assert main(["convert", str(tmp_path / "first"), "--output", str(output)]) == 0
    before = listing(output)

    def stopped(*_, **__):
        raise stop

    monkeypatch.setattr(os, "replace", stopped)
    for place in (output, tmp_path / "fresh"):
        assert main(["convert", str(tmp_path / "second"), "--output", str(place)]) == code
    assert listing(output) == before and not (tmp_path / "fresh").exists()
    assert ("interrupted" if code == 130 else "No space left") in capsys.readouterr().err


def test_nothing_to_convert(tmp_path, capsys):
    (tmp_path / "diary.txt").write_text("dear diary")
    for source in (tmp_path, tmp_path / "diary.txt", tmp_path / "none"):
        assert main(["convert", str(source), "--output", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    err = capsys.readouterr().err
    assert err.count("emoca: ") == 3 and "diary.txt is no official file" in err


def test_output_among_the_sources_and_a_foreign_description_beside_them(tmp_path, capsys):
    official_files.write_plain(tmp_path / "a", "one.bin")
    assert main(["convert", str(tmp_path / "a"), "--output", str(tmp_path / "a")]) == 2
    assert "is the output as well" in capsys.readouterr().err
    (tmp_path / "a/model.json").write_text('{"a": 1}')
    assert main(["info", str(tmp_path / "a/one.bin")]) == 0
    assert main(["convert", str(tmp_path / "a"), "--output", str(tmp_path / "out")]) == 0
    assert main(["convert", str(tmp_path / "a"), "--output", str(tmp_path / "a/one.bin")]) == 2
    assert "is a file, not a folder" in capsys.readouterr().err


def test_info_tells_damage_and_what_a_file_is(tmp_path, capsys):
    official_files.write_plain(tmp_path / "first", "one.bin")
    main(["convert", str(tmp_path / "first"), "--output", str(tmp_path / "out")])
    assert main(["info", str(tmp_path / "first/one.bin")]) == 0
    assert "uv face mask" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "out/maps.safetensors")]) == 1
    assert "maps.safetensors: part of the model folder" in capsys.readouterr().out
    maps = tmp_path / "out/maps.safetensors"
    maps.write_bytes(maps.read_bytes()[:-1] + b"\1")
    assert main(["info", str(tmp_path / "out")]) == 1
    assert "damaged      maps.safetensors" in capsys.readouterr().out.replace("damaged    ", "damaged      ")
    (tmp_path / "diary.txt").write_text("dear diary")
    assert main(["info", str(tmp_path / "diary.txt")]) == 1
