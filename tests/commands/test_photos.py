"""What commands on photos say of names that lead to no photo."""

import pytest

from emoca_jax.capture.images import read_photo
from emoca_jax.commands.photos import PhotoCommand, run_on_photos
from emoca_jax.errors import InputError


def test_what_cannot_be_opened_is_told_of_before_a_model_is_loaded(tmp_path, capsys):
    def load():
        raise AssertionError("nothing is there to load it for")

    missing = str(tmp_path / "missing.png")
    assert run_on_photos([missing], tmp_path / "out", PhotoCommand(load, lambda *_: [], {})) == 2
    assert capsys.readouterr().err == f"emoca: {missing}: does not exist; check the name\n"
    with pytest.raises(InputError) as told:
        read_photo(missing)
    assert str(told.value) == f"{missing}: does not exist; check the name"
