"""`emoca reconstruct --one-person` as a user types it, on made-up faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emoca_jax.commands import compile_cache
from emoca_jax.errors import InputError
from emoca_jax.jobs import one_person, reconstruct
from tests.commands.made_up_photos import MADE_UP, made_up_reconstruct, photo, run, written


@pytest.fixture
def people(tmp_path, monkeypatch):
    """A folder for photos of one person; the slow part of the command is made up."""

    def look(model, photo):
        (face,) = made_up_reconstruct(model, photo.source, faces="largest")
        return one_person.PersonPhoto(
            face, None, None, None, others=2 if "group" in photo.source.name else 0, seconds=0.0
        )

    def codes_of(model, taken, weights):
        if len(taken) < 2:
            raise InputError(f"{one_person.HOW_MANY} {len(taken)}.")
        return [replace(MADE_UP, codes=MADE_UP.codes.replace(shape=MADE_UP.codes.shape + len(taken))).codes] * len(
            taken
        )

    monkeypatch.setattr(reconstruct, "load_model", lambda *_, **__: None)
    monkeypatch.setattr(compile_cache, "enable", lambda: None)
    monkeypatch.setattr(one_person, "look_for_person", look)
    monkeypatch.setattr(one_person, "codes_of_person", codes_of)
    monkeypatch.setattr(
        one_person, "face_of_person", lambda model, photo, codes, *_, **__: replace(photo.found, codes=codes)
    )
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.mark.usefixtures("types_unchecked")
def test_photos_of_one_person_are_all_looked_at_before_the_first_head_is_made(people, capsys):
    names = [photo(people / name) for name in ("a.png", "wall.png", "group.png", "b.png")]
    assert run(people, *names, "--one-person", form="json,npz") == 1
    assert written(people) == [f"{stem}_0.{form}" for stem in ("a", "b", "group") for form in ("json", "npz")]
    told = [np.load(people / "out" / f"{stem}_0.npz")["shape"] for stem in ("a", "b", "group")]
    np.testing.assert_allclose(told, [MADE_UP.codes.shape + 3] * 3)
    out, err = capsys.readouterr()
    assert "3 faces from 3 photos" in out and "1 failed" in out
    assert "wall.png shows no face" in err
    assert "group.png shows 3 faces: the largest, around (" in err


@pytest.mark.usefixtures("types_unchecked")
def test_a_photo_that_fails_keeps_its_name_from_the_others(people):
    """As without --one-person: a later run that can read it writes over nobody's results."""
    (people / "damaged").mkdir()
    damaged = photo(people / "damaged" / "a.png")
    (people / "damaged" / "a.png").write_bytes(Path(damaged).read_bytes()[:-40])
    assert run(people, damaged, *(photo(people / name) for name in ("a.png", "b.png")), "--one-person") == 1
    assert written(people) == ["a-2_0.json", "b_0.json"]


@pytest.mark.usefixtures("types_unchecked")
def test_photos_beyond_what_is_solved_for_at_once_are_left_out(people, capsys, monkeypatch):
    monkeypatch.setattr(one_person, "MOST_PHOTOS", 2)
    assert run(people, *(photo(people / f"{name}.png") for name in "abc"), "--one-person") == 1
    assert written(people) == ["a_0.json", "b_0.json"]
    assert "c.png is left out: one identity is solved for of 2 photos at most" in capsys.readouterr().err


@pytest.mark.usefixtures("types_unchecked")
def test_one_identity_wants_two_photos_with_a_face(people, capsys):
    names = [photo(people / name) for name in ("a.png", "wall.png")]
    assert run(people, *names, "--one-person") == 2
    said = "One identity wants two to 24 photos of the person in which a face is found, not 1."
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "One identity wants two to 24 photos of the person in which a face is found, not 1."),
        (["b.png", "--method", "encoder"], "is fitted, by the open model with method fit or landmarks"),
        (["b.png", "--model", "run/model"], "is fitted, by the open model with method fit or landmarks"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(people, arguments, said, capsys, monkeypatch):
    monkeypatch.setattr(reconstruct, "load_model", lambda *_, **__: pytest.fail("loaded in vain"))
    monkeypatch.chdir(people)
    for name in ("a.png", "b.png"):
        photo(people / name)
    assert run(people, "a.png", *arguments, "--one-person") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emoca: ") and said in line
    assert not (people / "out").exists()


@pytest.mark.usefixtures("types_unchecked")
def test_a_terminal_shows_which_photo_is_looked_at(people, capsys, monkeypatch):
    names = [photo(people / name) for name in ("a.png", "b.png")]
    assert run(people, *names, "--one-person") == 0
    assert "looking at" not in capsys.readouterr().err, "a file gets no bar"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert run(people, *names, "--one-person") == 0
    err = capsys.readouterr().err
    assert 0 < err.index("looking at b.png") < err.rindex("b.png")
