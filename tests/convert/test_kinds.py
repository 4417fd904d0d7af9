"""Files are told apart by what is in them; names and endings say nothing."""

import gzip
import pickle
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from emoca_jax.cli import main
from emoca_jax.convert.kinds import Kind, kind_of_state, recognise
from emoca_jax.errors import InputError
from tests import reference_weights
from tests.convert import official_files
from tests.flame.made_up_flame import official_arrays
from tests.shared_data import shared_path

PUBLIC = {
    "head_template.obj": Kind.TEMPLATE,
    "landmark_embedding.npy": Kind.LANDMARKS,
    "mediapipe_landmark_embedding.npz": Kind.MEDIAPIPE,
    "fixed_displacement_256.npy": Kind.DISPLACEMENT,
    "uv_face_mask.png": Kind.FACE_MASK,
    "uv_face_eye_mask.png": Kind.FACE_EYE_MASK,
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_files_under_any_name(name, tmp_path):
    shutil.copyfile(shared_path(f"reference/assets/{name}"), tmp_path / "generic_model.pkl")
    assert recognise(tmp_path / "generic_model.pkl").kind == PUBLIC[name]


@pytest.mark.thorough
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_flame_in_every_kind_of_pickle(protocol, tmp_path):
    (tmp_path / "x.npy").write_bytes(pickle.dumps(dict(official_arrays()), protocol=protocol))
    assert recognise(tmp_path / "x.npy").kind == Kind.FLAME
    official_files.write_flame(tmp_path / "y", chumpy=True)
    assert recognise(tmp_path / "y").kind == Kind.FLAME


def test_textures_and_dense_template(tmp_path):
    for names, kind in ((("MU", "PC"), Kind.BFM_ALBEDO), (("mean", "tex_dir", "vt"), Kind.FLAME_TEXTURE)):
        np.savez(tmp_path / "x.npz", **{name: np.zeros(3) for name in names})
        assert recognise(tmp_path / "x.npz").kind == kind
    keys = ("img_size", "f", "x_coords", "y_coords", "valid_pixel_ids", "valid_pixel_3d_faces", "valid_pixel_b_coords")
    np.save(tmp_path / "x.npy", {key: np.zeros(3) for key in keys}, allow_pickle=True)
    assert recognise(tmp_path / "x.npy").kind == Kind.DENSE_TEMPLATE


def test_masks_of_any_size_and_pictures_that_are_none(tmp_path):
    with Image.open(shared_path("reference/assets/uv_face_eye_mask.png")) as mask:
        mask.convert("L").resize((512, 512)).save(tmp_path / "x.png")
        assert recognise(tmp_path / "x.png").kind == Kind.FACE_EYE_MASK
        mask.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(tmp_path / "x.png")
        assert recognise(tmp_path / "x.png").kind is None
        (tmp_path / "cut.png").write_bytes((tmp_path / "x.png").read_bytes()[:2000])
    Image.new("RGB", (256, 256), "white").save(tmp_path / "white.png")
    assert recognise(tmp_path / "white.png").kind is None
    with pytest.raises(InputError, match=r"cut\.png is a damaged picture"):
        recognise(tmp_path / "cut.png")


NETWORKS = {
    Kind.EMOTION_RESNET: reference_weights.emotion_resnet,
    Kind.EMONET: reference_weights.emonet,
    Kind.VGGFACE2: reference_weights.vggface2,
    Kind.VGG19: reference_weights.vgg19,
}


def test_networks_with_and_without_the_prefix_of_parallel_training():
    for kind, weights in NETWORKS.items():
        state = weights()
        assert kind_of_state(state) == kind
        assert kind_of_state({f"module.{key}": value for key, value in state.items()}) == kind


@pytest.mark.parametrize("old", [False, True])
def test_torch_files_new_and_old(old, tmp_path):
    torch = pytest.importorskip("torch")
    mlp = {"mlp.model.0.weight": torch.zeros(4, 153), "deca.E_flame.encoder.conv1.weight": torch.zeros(3)}
    files = {
        Kind.EMOTION_MLP: {"state_dict": mlp, "epoch": 3},
        Kind.EMOCA: {"state_dict": {"deca.E_flame.encoder.conv1.weight": torch.zeros(3)}},
        Kind.DECA: {"E_flame": {"x": torch.zeros(3)}, "E_detail": {}, "D_detail": {}},
        Kind.EMOTION_SWIN: {"state_dict": {"swin.patch_embed.proj.weight": torch.zeros(3)}},
    }
    for kind, content in files.items():
        torch.save(content, tmp_path / "x.npz", _use_new_zipfile_serialization=not old)
        found = recognise(tmp_path / "x.npz")
        assert found.kind == kind
    torch.save(files[Kind.EMOTION_MLP], tmp_path / "x", _use_new_zipfile_serialization=not old)
    assert recognise(tmp_path / "x").beside == ("epoch",)


def other_files(folder):
    """Files that are none of the kinds, each with a word of the reason."""
    with zipfile.ZipFile(folder / "EMOCA.zip", "w") as archive:
        archive.writestr("cfg.yaml", "a: 1")
    (folder / "empty").write_bytes(b"")
    (folder / "text.pkl").write_text("call me")
    (folder / "cube.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (folder / "flame.pkl.gz").write_bytes(gzip.compress(pickle.dumps(dict(official_arrays()))))
    with (
        tarfile.open(folder / "assets.tar", "w") as plain,
        tarfile.open(folder / "assets.tgz", "w:gz") as gzipped,
        tarfile.open(folder / "assets.txz", "w:xz") as xz,
    ):
        for archive in (plain, gzipped, xz):
            archive.add(folder / "text.pkl", "assets/text.pkl")
    np.save(folder / "big.npy", np.full((256, 256), 3.0))
    np.savez(folder / "other.npz", a=np.zeros(3))
    imagenet = {"conv1.weight": np.zeros(3), "layer4.2.conv3.weight": np.zeros(3), "fc.weight": np.zeros((1000, 2048))}
    (folder / "resnet.pkl").write_bytes(pickle.dumps(imagenet))
    smpl = {"v_template": np.zeros((6890, 3)), "shapedirs": 0, "f": 0, "weights": 0}
    (folder / "smpl.pkl").write_bytes(pickle.dumps(smpl))
    return {
        "EMOCA.zip": "a zip archive: unpack it first",
        "flame.pkl.gz": "a gzip archive: unpack it first",
        "assets.tar": "a tar archive: unpack it first",
        "assets.tgz": "a gzip archive: unpack it first",
        "assets.txz": "an xz archive: unpack it first",
        "empty": "empty",
        "text.pkl": "no official file",
        "cube.obj": "uv layout",
        "big.npy": "no known kind",
        "other.npz": "no known kind",
        "resnet.pkl": "no known kind",
        "smpl.pkl": "not FLAME",
    }


def test_other_files_are_told_apart_with_a_reason(tmp_path):
    for name, reason in other_files(tmp_path).items():
        found = recognise(tmp_path / name)
        assert found.kind is None and reason in found.content, name


FAILED_DOWNLOADS = {
    "generic_model.pkl": (
        b"<!DOCTYPE html><html><head><title>FLAME</title></head><body>Please log in</body></html>",
        "is a web page: download it again while logged in",
    ),
    "mean.npy": (b"\xef\xbb\xbf\n<HTML lang='en'>", "is a web page"),
    "error.tar": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
    "deca_model.tar": (b"version https://git-lfs.github.com/spec/v1\noid sha256:46\nsize 4\n", "is a git-lfs pointer"),
}


@pytest.mark.parametrize("name", FAILED_DOWNLOADS)
def test_what_came_in_place_of_a_file_is_told(tmp_path, name, capsys):
    data, says = FAILED_DOWNLOADS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"{name} {says}"):
        recognise(tmp_path / name)
    assert main(["convert", str(tmp_path), "--dry-run"]) == 2
    assert f"{name} {says}" in capsys.readouterr().err


def test_an_archive_is_named_beside_other_files(tmp_path, capsys):
    (tmp_path / "deca_model.tar").write_bytes(FAILED_DOWNLOADS["deca_model.tar"][0])
    (tmp_path / "flame.pkl.gz").write_bytes(gzip.compress(b"flame"))
    (tmp_path / "readme.txt").write_text("hello")
    assert main(["convert", str(tmp_path), "--dry-run"]) == 2
    out, err = capsys.readouterr()
    assert "flame.pkl.gz is a gzip archive: unpack it first" in err and "readme.txt" not in err
    assert "2 more files are none of the kinds" in out


class Hostile:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_hostile_or_broken_file_is_refused_by_name(tmp_path, capsys):
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"v_template": Hostile()}, protocol=2))
    (tmp_path / "half.npz").write_bytes(b"PK\x03\x04" + bytes(40))
    (tmp_path / "half.npy").write_bytes(b"\x93NUMPY\x01\x00")
    (tmp_path / "half.pkl").write_bytes(pickle.dumps(dict(official_arrays()), protocol=2)[:5000])
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match=path.name):
            recognise(path)
    assert "executed" not in capsys.readouterr().out
