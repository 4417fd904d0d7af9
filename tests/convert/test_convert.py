"""Official files to a model folder: what is in it afterwards, and what happens to files that are damaged or missing."""

import json
import os
import pickle
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from emoca_jax.cli import main
from emoca_jax.convert.convert import convert
from emoca_jax.convert.readers import albedo
from emoca_jax.convert.report import DONE, FAILED, IGNORED, UNUSED
from emoca_jax.convert.run_folders import find_runs, read_config, validation_loss
from emoca_jax.convert.sources import find_files
from emoca_jax.convert.store import Store, file_sha256
from emoca_jax.errors import InputError
from emoca_jax.flame import load_head
from emoca_jax.model_folder import read_model_folder, read_tensors
from tests.convert import official_files
from tests.flame.made_up_flame import landmark_tables, made_up_head, official_arrays
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


def listing(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_head(found, wanted):
    leaves = zip(jax.tree.leaves(found), jax.tree.leaves(wanted.replace(albedo=None)), strict=True)
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


def flame_with(**changes):
    model = dict(official_arrays()) | changes
    return {key: value for key, value in model.items() if value is not None}


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


def test_flame_without_or_with_flat_pose_correctives(tmp_path):
    flat = official_arrays()["posedirs"].reshape(-1, 36).T
    official_files.write_plain(tmp_path / "plain")
    for posedirs, columns in ((None, 0), (flat, 36)):
        (tmp_path / "flame.bin").write_bytes(pickle.dumps(flame_with(posedirs=posedirs), protocol=2))
        convert([tmp_path / "flame.bin", tmp_path / "plain"], tmp_path / f"out{columns}")
        head = load_head(tmp_path / f"out{columns}")
        assert head.pose_dirs.shape == (5023, 3, columns)
        assert columns == 0 or np.array_equal(head.pose_dirs, made_up_head().pose_dirs)


def test_triangles_of_another_mesh_are_refused(tmp_path):
    faces = official_arrays()["f"][::-1]
    (tmp_path / "flame.bin").write_bytes(pickle.dumps(flame_with(f=faces), protocol=2))
    official_files.write_plain(tmp_path / "plain", "mesh.txt")
    outcome = convert([tmp_path / "flame.bin", tmp_path / "plain"], tmp_path / "out")
    assert [report.state for report in outcome.reports] == [DONE, FAILED]
    assert "different triangles" in outcome.reports[1].notes[0]


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


def test_links_are_followed_once_and_names_stay_apart(tmp_path):
    for folder, name in (("a", "one.bin"), ("b", "two.bin")):
        official_files.write_plain(tmp_path / folder, name)
        (tmp_path / folder / name).rename(tmp_path / folder / "mask.png")
    (tmp_path / "a/up").symlink_to(tmp_path, target_is_directory=True)
    found = find_files([tmp_path / "a"], None)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/mask.png", "a/up/b/mask.png"]
    outcome = convert([tmp_path / "a/mask.png", tmp_path / "b/mask.png"], tmp_path / "out")
    assert [report.path for report in outcome.reports] == ["mask.png", str(tmp_path / "b/mask.png")]
    assert (
        find_files([tmp_path], tmp_path / "b").keys().isdisjoint({tmp_path / "b/mask.png", tmp_path / "out/head.json"})
    )


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    official_files.write_plain(tmp_path / "first")
    assert main(["convert", str(tmp_path / "first"), "--output", str(tmp_path / "out"), "--dry-run", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert "dry run" in out and "lmk_face_idx [105] -> head/landmarks_mediapipe.face_index" in out
    assert not (tmp_path / "out").exists()


def test_nothing_to_convert(tmp_path, capsys):
    (tmp_path / "diary.txt").write_text("dear diary")
    for source in (tmp_path, tmp_path / "diary.txt", tmp_path / "none"):
        assert main(["convert", str(source), "--output", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    err = capsys.readouterr().err
    assert err.count("emoca: ") == 3 and "diary.txt is no official file" in err


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


def test_fetch_help_names_every_official_file(capsys):
    assert main(["fetch-help"]) == 0
    text = capsys.readouterr().out
    for name in (*official_files.PLAIN.values(), "generic_model.pkl", "deca_model.tar", "emonet_8.pth", "SWIN-B"):
        assert name in text, name
    assert "flame.is.tue.mpg.de" in text and "emoca.is.tue.mpg.de" in text and max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("side", [512, 300])
def test_albedo_is_shrunk_as_torch_does(side):
    """300 does not divide: nearest neighbour in torch takes row floor(i * 300 / 256)."""
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(2)
    mean, basis = draw.uniform(0, 255, (side, side, 3)), draw.normal(0, 9, (side, side, 3, 51)).astype(np.float32)
    found = albedo.flame_texture({"mean": mean, "tex_dir": basis, "vt": 0}, "x").arrays
    shrunk = torch.nn.functional.interpolate(torch.from_numpy(mean / 255).float().permute(2, 0, 1)[None], (256, 256))
    np.testing.assert_array_equal(found["mean"], shrunk[0].permute(1, 2, 0).flip(-1).numpy())
    one = torch.nn.functional.interpolate(torch.from_numpy(basis[..., 49] / 255).permute(2, 0, 1)[None], (256, 256))
    np.testing.assert_array_equal(found["basis"][..., 49], one[0].permute(1, 2, 0).flip(-1).numpy())
    assert found["basis"].shape == (256, 256, 3, 50)
    with pytest.raises(InputError, match=r"'PC' has shape \(300, 300, 3, 49\)"):
        albedo.bfm_albedo({"MU": np.zeros((300, 300, 3)), "PC": np.zeros((300, 300, 3, 49))}, "x")


def test_the_best_checkpoint_is_the_official_loaders(tmp_path):
    names = ("a-epoch=3-val_loss=0.7.ckpt", "a-epoch=9-val_loss=0.61.ckpt", "last.ckpt", "b=nan.ckpt")
    for name in (*names, "cfg.yaml"):
        (tmp_path / name).write_text("")
    (run,) = find_runs(tmp_path.iterdir())
    assert run.checkpoint.name == names[1] and {path.name for path, _ in run.others} == {*names} - {names[1]}
    assert validation_loss(tmp_path / "x=1/last.ckpt") is None


def test_a_configuration_never_runs_anything(tmp_path):
    path = tmp_path / "cfg.yaml"
    path.write_text("a: !!python/object/apply:os.system ['touch run']\nb: !!python/tuple [1, 2]\nc: {d: 1.0e-4}\n")
    assert read_config(path) == {"a": ["touch run"], "b": [1, 2], "c": {"d": 1e-4}}
    for text in ("[1]", "a: [", "!!map x", "\0"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"cfg\.yaml"):
            read_config(path)


def test_a_store_keeps_equal_contents_once(tmp_path):
    with Store(tmp_path / "out") as store:
        assert store.put("a/x.safetensors", {"k": np.ones(3)}) == "a/x.safetensors"
        assert store.put("b/x.safetensors", {"k": np.ones(3)}) == "a/x.safetensors"
        store.publish({"files": store.files}, {})
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        "model.json",
        "x.safetensors",
    ]
    with Store(tmp_path / "out") as store:
        store.put("c.safetensors", {"k": np.zeros(3)})
        store.publish({"files": store.files}, {"report.txt": "r"})
    assert sorted(os.listdir(tmp_path / "out")) == ["c.safetensors", "model.json", "report.txt"], "the old one is gone"
    assert json.loads((tmp_path / "out/model.json").read_text())["files"].keys() == {"c.safetensors"}


def test_converting_one_model_again_leaves_those_that_share_its_weights(tmp_path):
    """DECA refers to the run's encoder; the run's new one goes beside it."""
    first, second = ({"k": np.full(3, value, np.float32)} for value in (1, 2))
    for arrays, others, name in ((first, {}, "run/e.safetensors"), (second, None, "run/e-2.safetensors")):
        with Store(tmp_path / "out") as store:
            kept = {"run/e.safetensors": file_sha256(tmp_path / "out/run/e.safetensors")} if others is None else others
            assert store.put("run/e.safetensors", arrays, kept) == name
            store.publish({"files": store.files | kept}, {})
    for arrays, name in ((first, "e"), (second, "e-2")):
        np.testing.assert_array_equal(read_tensors(tmp_path / f"out/run/{name}.safetensors")["k"], arrays["k"])


def test_output_among_the_sources_and_a_foreign_description_beside_them(tmp_path, capsys):
    official_files.write_plain(tmp_path / "a", "one.bin")
    assert main(["convert", str(tmp_path / "a"), "--output", str(tmp_path / "a")]) == 2
    assert "is the output as well" in capsys.readouterr().err
    (tmp_path / "a/model.json").write_text('{"a": 1}')
    assert main(["info", str(tmp_path / "a/one.bin")]) == 0
    assert main(["convert", str(tmp_path / "a"), "--output", str(tmp_path / "out")]) == 0
    assert main(["convert", str(tmp_path / "a"), "--output", str(tmp_path / "a/one.bin")]) == 2
    assert "is a file, not a folder" in capsys.readouterr().err


def test_a_checkpoints_albedo_is_the_files():
    draw = np.random.default_rng(4)
    mean, basis = draw.uniform(0, 1, (512, 512, 3)), draw.normal(0, 1, (512, 512, 3, 52)).astype(np.float32)
    flat = {"texture_mean": mean.reshape(1, 1, -1), "texture_basis": basis[..., :50].reshape(1, -1, 50)}
    state = {f"deca.flametex.{key}": value for key, value in flat.items()}
    copy = albedo.checkpoint_albedo(state, "albedo_bfm", "x")
    file = albedo.bfm_albedo({"MU": mean, "PC": basis}, "x")
    assert all(np.array_equal(copy.arrays[name], file.arrays[name]) for name in ("mean", "basis"))
    assert [row.source for row in copy.rows] == list(state)
