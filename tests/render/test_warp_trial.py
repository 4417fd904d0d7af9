"""When the kernels for GPUs draw unasked: what a trial finds, what is kept of it, and that it costs nobody a run."""

import subprocess
import sys

import numpy as np
import pytest

from emoca_jax.render.backends import choice, trial, warp_trial
from emoca_jax.running_on import as_if_on
from tests.render.conftest import NO_WARP


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


@pytest.mark.parametrize(
    "code, reason",
    [
        ("print('depths are 1e-3 off'); exit(1)", "depths are 1e-3 off"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "exit code -11"),
        ("raise ImportError('no driver')", "ImportError: no driver"),
        ("import time; time.sleep(60)", "no answer within 0.5 seconds"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_trial_that_fails_is_a_reason_that_is_kept(code, reason, tmp_path):
    kept = tmp_path / "trial"
    told = warp_trial.verdict(kept, python(code), longest=0.5 if "sleep" in code else 60)
    assert reason in told and f"remove {kept} to have them tried again" in told
    # Nobody tries again until then.
    assert warp_trial.verdict(kept, python("")) == told
    kept.unlink()
    assert warp_trial.verdict(kept, python("")) == ""


def test_a_trial_that_goes_well_is_not_made_again(tmp_path):
    kept = tmp_path / "trial"
    assert warp_trial.verdict(kept, python("")) == ""
    assert warp_trial.verdict(kept, python("exit(1)")) == ""
    # What is damaged, or was emptied by a full disk, is nothing.
    for damaged in (b"", b"\xff\xfe"):
        kept.write_bytes(damaged)
        assert "exit code 1" in warp_trial.verdict(kept, python("exit(1)"))
    assert warp_trial.verdict(tmp_path / "missing" / "trial", python("")) == ""


def test_the_trial_leaves_the_gpus_memory_and_tries_what_was_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOCA_JAX_BACKEND", "jax")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    code = """
import os, emoca_jax
assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" and not os.environ["EMOCA_JAX_BACKEND"]
assert "JAX_PLATFORMS" not in os.environ
"""
    assert warp_trial.verdict(tmp_path / "trial", python(code)) == ""


def test_every_difference_is_told():
    shape = (1, 4, 5)
    surface = trial.Drawn(np.zeros(shape, np.int32), np.ones(shape, np.float32), np.ones((1, 3, 3), np.float32))
    outline = trial.Softened(np.ones(shape, np.float32), np.ones((1, 3, 3), np.float32))
    assert [*trial.other_surface(surface, surface), *trial.other_outline(outline, outline)] == []
    other = surface.face_index.copy()
    other[0, 1, 2] = 7
    assert list(trial.other_surface(surface._replace(face_index=other), surface)) == ["other faces in 1 of 20 pixels"]
    deeper = surface._replace(depth=surface.depth + np.float32(1e-5))
    assert list(trial.other_surface(deeper, surface)) == ["depths are 1.0e-05 off"]
    for value in (1.001, np.nan):
        steeper = surface._replace(gradient=np.float32(value) * surface.gradient)
        assert next(trial.other_surface(steeper, surface)).startswith("the gradient is")
    fainter = outline._replace(values=np.float32(0.99) * outline.values)
    assert list(trial.other_outline(fainter, outline)) == ["soft values are 1.0e-02 of the largest off"]


def test_the_trials_scene_shows_what_may_go_wrong():
    """Both back ends that are here agree on it, it has much to see, and every rule changes it."""
    shown = trial.scene()
    here = [trial.drawn(shown, "jax", rules) for rules in trial.RULES]
    assert all((seen.face_index >= 0).mean() > 0.3 and len(np.unique(seen.face_index)) > 20 for seen in here)
    assert (here[0].face_index != here[1].face_index).mean() > 0.1
    assert list(trial.other_surface(here[0], here[0])) == [] != list(trial.other_surface(here[1], here[0]))


@pytest.mark.thorough
@pytest.mark.parametrize("name, outlined, same", trial.OUTLINED)
def test_a_thousandth_of_a_picture_further_is_another_outline(name, outlined, same):
    shown = trial.scene()
    seen, moved = (outlined(shown._replace(vertices=shown.vertices + np.float32(by)), "jax") for by in (0, 1e-3))
    assert np.ptp(seen.values) > 0.5 and list(trial.other_outline(seen, seen, name=name, same=same)) == []
    assert len(list(trial.other_outline(moved, seen, name=name, same=same))) == 2


def test_nothing_is_tried_for_a_gpu_that_is_only_described():
    with as_if_on("gpu"):
        assert not choice.draws_by_warp(None)


@pytest.mark.thorough
@pytest.mark.skipif(bool(NO_WARP), reason=NO_WARP or "-")
def test_the_kernels_pass_it_here():
    """By warp's CPU device, as `warp_trial` begins it."""
    done = subprocess.run([sys.executable, "-m", warp_trial.TRIAL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
