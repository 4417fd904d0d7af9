"""What does not go together, as a user types it: refused before anything is loaded, jax included."""

import subprocess
import sys

import pytest

from emoca_jax.cli import main
from emoca_jax.commands import compile_cache
from emoca_jax.errors import InputError
from emoca_jax.jobs import read_emotion, reconstruct
from emoca_jax.jobs.choice import check_choice, check_drawn
from tests.commands.made_up_photos import photo

REFUSED = {
    "reconstruct --model run/model --method fit": "Method 'fit' is of the open model; this one encodes",
    "reconstruct --model run/model --method landmarks": "Method 'landmarks' is of the open model; this one encodes",
    "reconstruct --model run/model --head open": "brings its own head: leave out `head` (--head), or the model",
    "reconstruct --head flame.npz --method encoder": "The encoder that ships is of the head that ships: leave out",
    "reconstruct --official": "`official` (--official) needs a converted model",
    "reconstruct --model run/model --one-person": "is fitted, by the open model with method fit or landmarks",
    "reconstruct --method encoder --one-person": "is fitted, by the open model with method fit or landmarks",
    "emotion --model run/model --drawn": "--drawn picks one of the networks that ship: leave it out, or the model",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_go_together_is_refused_at_once(words, tmp_path, monkeypatch, capsys):
    for place, name in (
        (compile_cache, "enable"),
        (reconstruct, "load_model"),
        (read_emotion, "load_emotion_model"),
    ):
        monkeypatch.setattr(place, name, lambda *_, **__: pytest.fail("begun in vain"))
    monkeypatch.chdir(tmp_path)
    command, *options = words.split()
    assert main([command, photo(tmp_path / "a.png"), photo(tmp_path / "b.png"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emoca: ") and REFUSED[words] in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"], "no folder for results"


def test_what_goes_together_is_not_refused():
    for head in (None, "open", "flame.npz"):
        for method in (None, "fit", "landmarks"):
            for one_person in (False, True):
                check_choice("open", head=head, method=method, one_person=one_person)
    for head in (None, "open"):
        check_choice("open", head=head, method="encoder")
    for method in (None, "encoder"):
        check_choice("run/model", method=method, official=True)
    for model, drawn in (("open", True), ("open", False), ("run/model", False)):
        check_drawn(model, drawn=drawn)


@pytest.mark.usefixtures("types_unchecked")
def test_a_model_in_place_of_its_name():
    for load in (reconstruct.load_model, read_emotion.load_emotion_model):
        with pytest.raises(InputError, match="name must be a path, not 5"):
            load(5)


def test_refusing_does_not_wait_for_jax():
    asked = "import sys; from emoca_jax.cli import main; print(main(sys.argv[1:]), 'jax' in sys.modules)"
    words = ["reconstruct", "a.png", "--model", "run/model", "--method", "fit"]
    told = subprocess.run([sys.executable, "-c", asked, *words], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["2", "False"] and "this one encodes" in told.stderr
