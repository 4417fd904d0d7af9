"""What commands on photos say of names that lead to no photo."""

import pytest

from emoca_jax.capture.images import read_photo
from emoca_jax.commands.photos import PhotoCommand, run_on_photos
from emoca_jax.errors import InputError


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist; check the name"),
        (b"", "is not an image that can be read; give a jpg, png, webp, avif, gif, tiff or bmp file"),
        (b"<!DOCTYPE html><html>log in</html>", "is a web page"),
    ],
)
def test_what_is_no_photo_is_told_of_before_a_model_is_loaded(content, sentence, tmp_path, capsys):
    def load():
        raise AssertionError("nothing is there to load it for")

    path = tmp_path / "photo.png"
    if content is not None:
        path.write_bytes(content)
    assert run_on_photos([str(path)], tmp_path / "out", PhotoCommand(load, lambda *_: [], {})) == 2
    assert capsys.readouterr().err.startswith(f"emoca: {path}: {sentence}")
    with pytest.raises(InputError) as told:
        read_photo(path)
    assert str(told.value).startswith(f"{path}: {sentence}")
