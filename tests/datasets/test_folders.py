"""Official folders: what every sample says, and the sentence about what is missing."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipelines.affectnet.folder import is_clean
from data_pipelines.sources import splits_of_folder
from emoca_jax.errors import InputError
from tests.datasets import official_afew_va, official_affectnet, official_now, official_voxceleb2
from tests.datasets.official_folders import MAKERS
from tests.datasets.pictures import picture


@pytest.fixture
def made(tmp_path: Path):
    def make(name: str) -> Path:
        MAKERS[name](tmp_path)
        return tmp_path

    return make


def test_affectnet(made):
    splits = splits_of_folder("affectnet", manual_dir=made("affectnet"))
    files = {name: [split[i]["file"] for i in range(len(split))] for name, split in splits.items()}
    assert files == {
        "train_clean": ["1/a.jpg", "1/b.jpg"],
        "train_other": ["2/c.png", "2/e.jpg"],
        "validation_clean": ["3/f.jpg"],
    }
    sample = splits["train_clean"][1]
    assert sample["image"] == picture(1) and sample["expression"] == 1
    np.testing.assert_array_equal(sample["landmarks"], official_affectnet.LANDMARKS.astype(np.float32))
    np.testing.assert_array_equal(sample["box"], [4, 5, 34, 33])
    low, high = official_affectnet.LANDMARKS.min(0), official_affectnet.LANDMARKS.max(0)
    side = 1.1 * (high - low).mean()  # spec: size = (w + h) / 2 * 1.1, centre of the box
    np.testing.assert_allclose(sample["face"], [*(low + high) / 2, side], rtol=1e-6)


@pytest.mark.parametrize(
    ("expression", "valence", "arousal", "clean"),
    [(0, 0.1, 0.1, True), (0, 0.2, 0, False), (4, -0.3, 0, True), (4, 0.1, 0.5, False), (5, -0.3, 0, False)],
)
def test_affectnet_cleaning(expression: int, valence: float, arousal: float, clean: bool):
    assert is_clean(expression, valence, arousal) is clean


def test_afew_va(made):
    splits = splits_of_folder("afew_va", manual_dir=made("afew_va"))
    actors = {name: {split[i]["identity"] for i in range(len(split))} for name, split in splits.items()}
    assert sorted(actors) == [f"fold_{i}" for i in range(5)]
    everybody = [actor for fold in actors.values() for actor in fold]
    assert sorted(everybody) == sorted(set(official_afew_va.ACTORS.values()))
    # Anna has four frames, Ben two, the others one: nobody joins Anna.
    assert [len(splits[f"fold_{i}"]) for i in range(5)] == [4, 2, 2, 1, 1]
    sample = splits["fold_0"][2]
    assert (sample["clip"], sample["frame"], sample["file"]) == ("001", 2, "001/00002.png")
    np.testing.assert_allclose([sample["valence"], sample["arousal"]], [1.0, 0.1], rtol=1e-6)
    truth = json.loads((made("afew_va") / "001" / "001.json").read_text())["frames"]["00002"]["landmarks"]
    np.testing.assert_allclose(sample["landmarks"], truth, rtol=1e-6)


def test_emotionet(made):
    splits = splits_of_folder("emotionet", manual_dir=made("emotionet"))
    assert [len(splits[name]) for name in ("train", "validation")] == [10, 1]
    sample = splits["validation"][0]
    assert sample["file"] == "1/9.jpg" and sample["image"] == picture(9, size=(64, 48))
    assert [sample["units"][i] for i in (0, 11, 59, 1)] == [0, 0, -1, -1] and splits["train"][2]["units"][0] == 1


def test_vggface2_hq(made):
    splits = splits_of_folder("vggface2_hq", manual_dir=made("vggface2_hq"))
    assert [splits["train"][i]["identity"] for i in (0, 2, 4)] == ["n000002", "n000031", "n000031"]
    assert list(splits["train"].columns["identity"]) == [0, 0, 1, 1, 1]
    assert {splits["validation"][i]["identity"] for i in range(2)} == {"n000030"}


def test_voxceleb2(made):
    splits = splits_of_folder("voxceleb2", manual_dir=made("voxceleb2"))
    assert len(splits["train"]) == 8 and len(splits["test"]) == 4
    assert list(splits["train"].columns["identity"]) == [0] * 4 + [1] * 4
    for index, (number, moment) in {0: (0, 0.125), 3: (0, 0.875), 6: (1, 0.625)}.items():
        sample = splits["train"][index]
        grey = np.asarray(Image.open(io.BytesIO(sample["image"]))).mean()
        frame = int(moment * official_voxceleb2.FRAMES)
        assert sample["moment"] == moment and abs(grey - (16 * number + 14 * frame)) < 6  # its neighbours are 14 away


def test_now(made):
    splits = splits_of_folder("now", manual_dir=made("now"))
    sample = splits["validation"][1]
    assert sample["file"] == official_now.PHOTOS["imagepathsvalidation.txt"][1] and sample["challenge"] == 3
    np.testing.assert_array_equal(sample["box"], [10, 4, 30, 34])
    np.testing.assert_allclose(sample["face"], [20, 19 + 0.12 * 25, 25], rtol=1e-6)  # spec: a detector's box
    assert len(splits["test"]) == 1


# Dataset, what goes missing or wrong, and what is said of it.
MISSING = [
    ("affectnet", "Manually_Annotated_Images", "the folder of pictures is missing"),
    ("affectnet", "Manually_Annotated_Images/2", "2 of 4 files that training.csv names are missing, the first is 2/c"),
    ("affectnet", "Manually_Annotated_file_lists/validation.csv", "the validation list is missing"),
    ("afew_va", "001/001.json 002/002.json 003 004 005 006 007", "has no clip with its .json"),
    ("afew_va", "002/00001.png", "1 of 10 files that the clips' .json names are missing, the first is 002/00001.png"),
    ("emotionet", "image_list_0.csv image_list_1.csv", "the lists image_list_.*csv are missing"),
    ("emotionet", "images/1/7.jpg", "1 of 11 files that image_list_.*csv names are missing, the first is 1/7.jpg"),
    ("vggface2_hq", "VGGface2_HQ_original_aligned", "has no folder of an identity"),
    ("vggface2_hq", "VGGface2_HQ_original_aligned/n000031/*", "1 of 3 identities have no pictures, .* n000031"),
    ("voxceleb2", "dev/mp4 test/mp4", "dev/mp4/ and test/mp4/ are missing"),
    ("voxceleb2", "dev/mp4/id00015/bbb/00001.mp4", "id00015/bbb: has no clip"),
    ("now", "final_release_version/detected_face", "the folder of boxes is missing"),
    (
        "now",
        "imagepathsvalidation.txt imagepathstest.txt",
        "imagepathsvalidation.txt and imagepathstest.txt are missing",
    ),
    ("now", "final_release_version/iphone_pictures/FaMoS_180424_03335_TA/selfie", "1 of 2 files that imagepathsvalid"),
]


@pytest.mark.parametrize(("name", "gone", "said"), MISSING)
def test_what_is_missing_is_named(made, name: str, gone: str, said: str):
    folder = made(name)
    for pattern in gone.split():
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=said) as caught:
        splits_of_folder(name, manual_dir=folder)
    assert "\n" not in str(caught.value)


TRAINING = "Manually_Annotated_file_lists/training.csv"
# Dataset, file, what replaces what in it, and what is said of it.
DAMAGED = [
    ("affectnet", TRAINING, ",1,0.8,0.2", ",1,8,0.2", "line 3: expression, valence or arousal is out of range"),
    ("affectnet", TRAINING, ",1,0.8,0.2\n", "\n", "line 3: ends after 6 of 9 cells"),
    ("affectnet", TRAINING, "1/b.jpg", "../b.jpg", "names ../b.jpg, which lies outside the folder"),
    ("affectnet", TRAINING, ",valence", ",joy", "has no column valence"),
    ("afew_va", "001/001.json", '"actor"', '"who"', "001.json: is damaged or of another dataset .KeyError: 'actor'"),
    ("afew_va", "001/001.json", "-7.0", "-70", "valence or arousal is out of range"),
    ("emotionet", "image_list_0.csv", "999", "7", "line 2: AU 60 is 7, not 0, 1 or 999"),
    ("emotionet", "image_list_0.csv", "AU", "Unit", "line 2: has no column AU 1"),
    ("now", "imagepathstest.txt", "multiview_occlusions", "..", "is no photo of the challenge"),
]


@pytest.mark.parametrize(("name", "file", "old", "new", "said"), DAMAGED)
def test_damaged_lists_are_named(made, name: str, file: str, old: str, new: str, said: str):
    path = made(name) / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=said):
        splits_of_folder(name, manual_dir=path.parents[1] if "/" in file else path.parent)


def test_damaged_samples_are_named(made):
    folder = made("voxceleb2")
    clip = folder / "dev" / "mp4" / "id00012" / "aaa" / "00001.mp4"
    clip.write_bytes(clip.read_bytes()[:500])
    with pytest.raises(InputError, match=r"00001.mp4: is damaged or no video"):
        splits_of_folder("voxceleb2", manual_dir=folder)["train"][0]
    folder = made("now")
    np.save(folder / "final_release_version/detected_face/FaMoS_180424_03335_TA/selfie/IMG_0052.npy", np.zeros(4))
    with pytest.raises(InputError, match=r"IMG_0052.npy: holds no box"):
        splits_of_folder("now", manual_dir=folder)["validation"][1]


def test_other_formats_become_png(made):
    """AffectNet holds a few TIFF and BMP files."""
    folder = made("affectnet")
    place = folder / "Manually_Annotated_Images" / "1" / "b.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(place, "TIFF")
    image = Image.open(io.BytesIO(splits_of_folder("affectnet", manual_dir=folder)["train_clean"][1]["image"]))
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image), pixels)
