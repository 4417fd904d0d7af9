"""Official files to a model folder: what is in it afterwards."""

import pickle
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from emoca_jax import render
from emoca_jax.cli import main
from emoca_jax.convert.convert import convert
from emoca_jax.convert.report import DONE, IGNORED, UNUSED
from emoca_jax.errors import InputError
from emoca_jax.flame import load_head
from emoca_jax.model_folder import read_model_folder
from tests.convert import official_files
from tests.convert.official_files import flame_with
from tests.flame.made_up_flame import made_up_head, official_arrays
from tests.shared_data import shared_path


@pytest.fixture(scope="module")
def state():
    pytest.importorskip("torch")
    return official_files.emoca_state()


@pytest.fixture(scope="module")
def assets(tmp_path_factory, state):
    folder = tmp_path_factory.mktemp("assets")
    official_files.write_flame(folder / "a.bin")
    official_files.write_plain(folder)
    official_files.write_run(folder / "runs/Anna v2", state, jaw=True)
    official_files.write_deca(folder / "z/w", state)
    (folder / "notes.txt").write_text("dear diary")
    return folder


@pytest.fixture(scope="module")
def converted(assets, tmp_path_factory):
    output = tmp_path_factory.mktemp("converted") / "model"
    return output, convert([assets], output)


@pytest.fixture(scope="module")
def alone(assets, tmp_path_factory):
    """The checkpoint by itself: no FLAME, no masks."""
    output = tmp_path_factory.mktemp("alone") / "model"
    checkpoint = next(assets.glob("runs/*/detail/checkpoints/*/*=3.5.ckpt"))
    return output, convert([checkpoint], output)


def same_head(found, wanted):
    wanted = wanted.replace(albedo=None, mesh_edges=render.mesh_edges(wanted.faces))
    leaves = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
    return all(np.array_equal(a, b) for a, b in leaves)


def test_a_folder_of_assets_becomes_a_model(converted, state):
    output, outcome = converted
    model = read_model_folder(output)
    assert (model.name, model.variant) == ("Anna_v2", "emoca_jaw"), "before DECA"
    assert model.options["expression"] == 50 and model.options["stage"] == "detail"
    assert same_head(model.head, made_up_head()) and same_head(load_head(output), made_up_head())
    for part, name in (("flame_encoder", "E_flame"), ("expression_encoder", "E_expression")):
        variables = model.variables(part)
        kernel = variables["params"]["trunk"]["conv1"]["conv"]["kernel"]
        np.testing.assert_array_equal(kernel, state[f"deca.{name}.encoder.conv1.weight"].transpose(2, 3, 1, 0))
        np.testing.assert_array_equal(variables["params"]["head"]["bias"], state[f"deca.{name}.layers.2.bias"])
    displacement = np.load(shared_path("reference/assets/fixed_displacement_256.npy"))
    np.testing.assert_array_equal(model.maps["fixed_displacement"], displacement.astype(np.float32))
    # Eyeball charts in the upper corners belong to the mask with the eyes only.
    assert model.maps["face_eye_mask"][8, 8] == 1 and model.maps["face_mask"][8, 8] == 0
    assert outcome.description["missing"] == [] and outcome.description["optional"] == ["FLAME_albedo_from_BFM.npz"]
    assert main(["info", str(output)]) == 0
    assert {report.path.rpartition("/")[2]: report.state for report in outcome.reports if report.state != DONE} == {
        "notes.txt": IGNORED,
        "last.ckpt": UNUSED,
        "dataloader_idx_0=12.25.ckpt": UNUSED,
        "deca-epoch=00-val_loss=0.5.ckpt": UNUSED,
    }


def test_every_key_is_accounted_for(converted, state):
    output, outcome = converted
    report = next(report for report in outcome.reports if report.path.endswith("=3.5.ckpt"))
    sources = [row.source for row in report.rows]
    assert sorted(sources) == sorted([*state, "epoch", "optimizer_states", "hyper_parameters"])
    assert not any(report.unknown for report in outcome.reports)
    text = (output / "report.txt").read_text()
    assert "deca.E_flame.encoder.conv1.weight [64, 3, 7, 7] -> flame_encoder: params/trunk/conv1/conv/kernel" in text
    assert "optimizer_states [] skipped: optimizer states" in text
    assert "deca.id_loss.conv1.weight [4, 3] skipped: identity loss" in text
    assert "deca.flame.v_template [5023, 3] skipped: the same is taken from" in text
    assert "deca.uv_face_eye_mask [1, 1, 256, 256] skipped: another is taken from" in text
    assert "notes.txt: ignored" in text


@pytest.mark.thorough
def test_a_checkpoint_alone_brings_its_head_and_gives_way_to_official_files(alone, assets, tmp_path):
    output, outcome = alone
    assert [report.state for report in outcome.reports] == [DONE]
    assert "its copy of FLAME fills in for official files that were not given" in outcome.reports[0].notes
    bare = {"landmarks_mediapipe", "mediapipe_index"}
    fields = [name for name in ("template", "pose_dirs", "uv_faces", "landmarks_contour") if name not in bare]
    head = load_head(output)
    for name in fields:
        pairs = zip(jax.tree.leaves(getattr(head, name)), jax.tree.leaves(getattr(made_up_head(), name)), strict=True)
        assert all(np.array_equal(found, wanted) for found, wanted in pairs), name
    assert head.mediapipe_index.shape == (0,)
    assert float(read_model_folder(output).maps["face_eye_mask"].mean()) == 0.25
    other = tmp_path / "other.pkl"
    moved = dict(official_arrays()) | {"v_template": official_arrays()["v_template"] + 0.5}
    other.write_bytes(pickle.dumps(moved, protocol=2))
    convert([other, assets / "more_points.bin", assets / "two.bin"], output)
    model = read_model_folder(output)
    np.testing.assert_allclose(model.head.template, made_up_head().template + 0.5, atol=1e-6)
    assert model.head.mediapipe_index.shape == (105,) and model.maps["face_eye_mask"].max() == 1
    assert model.name == "Anna_v2", "what was there before stays"
    assert {source["kind"] for source in model.description["sources"]} >= {"EMOCA checkpoint", "FLAME model"}


def test_equal_weights_are_kept_once(converted, state):
    output, outcome = converted
    models = outcome.description["models"]
    assert models["DECA"]["variant"] == "deca"
    assert models["DECA"]["parts"].items() <= models["Anna_v2"]["parts"].items()
    assert not (output / "DECA").exists()
    variables = read_model_folder(output / "DECA").variables("flame_encoder")
    np.testing.assert_array_equal(variables["params"]["head"]["bias"], state["deca.E_flame.layers.2.bias"])


def test_configuration_and_weights_must_agree(assets, state, tmp_path, capsys):
    run = tmp_path / "run"
    official_files.write_run(run, {key: value for key, value in state.items() if "E_expression" in key}, jaw=False)
    assert main(["convert", str(run), "--output", str(tmp_path / "out")]) == 2
    assert "exp_deca_jaw_pose: False, but E_expression gives 53 numbers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    short = {key: value for key, value in state.items() if key != "deca.E_detail.encoder.layer3.2.bn2.running_var"}
    path = official_files.write_checkpoint(tmp_path / "short.ckpt", short)
    assert main(["convert", str(path), str(assets / "one.bin"), "--output", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert "E_detail in short.ckpt" in err and "encoder.layer3.2.bn2.running_var [256]" in err
    assert set(read_model_folder(tmp_path / "out").maps) == {"face_mask"}


def test_one_file_after_the_other(tmp_path, capsys):
    """Each call adds to the folder; what is still missing is named until the head is complete."""
    output = tmp_path / "model"
    official_files.write_flame(tmp_path / "x", chumpy=False)
    official_files.write_plain(tmp_path / "y", "points.bin")
    official_files.write_plain(tmp_path / "z", "mesh.txt")
    assert main(["convert", str(tmp_path / "y"), "--output", str(output)]) == 0
    assert "generic_model.pkl; head_template.obj" in capsys.readouterr().out
    with pytest.raises(InputError, match="lacks the array 'template'"):
        load_head(output)
    with pytest.raises(InputError, match="has no head"):
        _ = read_model_folder(output).head
    assert main(["convert", str(tmp_path / "z"), str(tmp_path / "x"), "--output", str(output)]) == 0
    for name in ("shape_dirs", "expression_dirs", "joint_regressor", "uv"):
        assert np.array_equal(getattr(read_model_folder(output).head, name), getattr(made_up_head(), name)), name
    assert main(["info", str(output)]) == 1, "no network yet"
    assert "an EMOCA run folder or deca_model.tar" in capsys.readouterr().out


def test_a_second_file_of_a_kind_is_left_out_with_a_reason(tmp_path):
    official_files.write_plain(tmp_path / "a", "one.bin", "points.bin")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with Image.open(tmp_path / "a/one.bin") as mask:
        mask.rotate(2).save(tmp_path / "other.png")
    outcome = convert([tmp_path / "a", tmp_path / "b", tmp_path / "other.png"], tmp_path / "out")
    found = {report.path: (report.state, report.notes) for report in outcome.reports if report.state != DONE}
    assert found == {
        "b/one.bin": (UNUSED, ["a/one.bin holds the same"]),
        "b/points.bin": (UNUSED, ["a/points.bin holds the same"]),
        "other.png": (UNUSED, ["a/one.bin is used; give only one of them"]),
    }


def test_flame_without_or_with_flat_pose_correctives(tmp_path):
    flat = official_arrays()["posedirs"].reshape(-1, 36).T
    official_files.write_plain(tmp_path / "plain")
    for posedirs, columns in ((None, 0), (flat, 36)):
        (tmp_path / "flame.bin").write_bytes(pickle.dumps(flame_with(posedirs=posedirs), protocol=2))
        convert([tmp_path / "flame.bin", tmp_path / "plain"], tmp_path / f"out{columns}")
        head = load_head(tmp_path / f"out{columns}")
        assert head.pose_dirs.shape == (5023, 3, columns)
        assert columns == 0 or np.array_equal(head.pose_dirs, made_up_head().pose_dirs)


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    official_files.write_plain(tmp_path / "first")
    assert main(["convert", str(tmp_path / "first"), "--output", str(tmp_path / "out"), "--dry-run", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert "dry run" in out and "lmk_face_idx [105] -> head/landmarks_mediapipe.face_index" in out
    assert not (tmp_path / "out").exists()


def test_fetch_help_names_every_official_file(capsys):
    assert main(["fetch-help"]) == 0
    text = capsys.readouterr().out
    for name in (*official_files.PLAIN.values(), "generic_model.pkl", "deca_model.tar", "emonet_8.pth", "SWIN-B"):
        assert name in text, name
    assert "flame.is.tue.mpg.de" in text and "emoca.is.tue.mpg.de" in text and max(map(len, text.splitlines())) <= 120
