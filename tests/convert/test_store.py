"""Where converted files come to lie: equal contents once, nothing replaced that another model needs."""

import json
import os
import threading

import numpy as np
import pytest

from emoca_jax.cli import main
from emoca_jax.convert.store import CannotWrite, Store
from emoca_jax.model_folder import KIND, file_sha256, read_tensors


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
            assert store.put("run/e.safetensors", arrays, others=kept) == name
            store.publish({"files": store.files | kept}, {})
    for arrays, name in ((first, "e"), (second, "e-2")):
        np.testing.assert_array_equal(read_tensors(tmp_path / f"out/run/{name}.safetensors")["k"], arrays["k"])


def link_out_of(folder, name):
    """A link in the folder, to a folder outside with a file that must stay as it is."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "e.safetensors").write_bytes(b"precious")
    (folder / name).symlink_to(outside, target_is_directory=True)
    return outside / "e.safetensors"


def test_links_inside_lead_nowhere(tmp_path, capsys):
    """A model folder from a stranger: neither convert nor info reaches out of it."""
    out = tmp_path / "out"
    arrays = {"k": np.zeros(3)}
    with Store(out) as store:
        store.put("a.safetensors", arrays)
        store.publish({"files": store.files | {"DECA/e.safetensors": ""}}, {})
    outside = link_out_of(out, "DECA")
    for name, files in (("DECA/e.safetensors", {}), ("b.safetensors", {})):
        with Store(out) as store, pytest.raises(CannotWrite, match="link that leads out"):
            store.put(name, arrays)
            store.publish({"files": store.files | files}, {})
    assert outside.read_bytes() == b"precious" and os.listdir(outside.parent) == [outside.name]
    assert sorted(os.listdir(out)) == ["DECA", "a.safetensors", "model.json"]
    files = {"DECA/e.safetensors": "0" * 64}
    description = {"kind": KIND, "format": 1, "models": {}, "parts": {}, "default": None, "files": files}
    (out / "model.json").write_text(json.dumps(description))
    assert main(["info", str(out)]) == 2
    assert "link that leads out" in capsys.readouterr().err


def test_what_no_conversion_made_stays(tmp_path):
    """Files of the user's in the output are neither replaced nor, where an older description names them, removed."""
    out, arrays = tmp_path / "out", {"k": np.zeros(3)}
    out.mkdir()
    for mine in ("report.txt", "a.safetensors"):
        (out / mine).write_bytes(b"mine")
        with Store(out) as store, pytest.raises(CannotWrite, match=f"{mine}: is there already"):
            store.put("a.safetensors", arrays)
            store.publish({"files": store.files}, {"report.txt": "r"})
        assert os.listdir(out) == [mine] and (out / mine).read_bytes() == b"mine"
        (out / mine).unlink()
    for _ in range(2):  # its own may be replaced, and what a killed run left there
        with Store(out) as store:
            store.put("a.safetensors", arrays)
            store.publish({"files": store.files}, {"report.txt": "r"})
    (out / "a.safetensors").write_bytes(b"mine")
    with Store(out) as store:
        store.put("b.safetensors", arrays)
        store.publish({"files": store.files}, {"report.txt": "r"})
    assert (out / "a.safetensors").read_bytes() == b"mine" and "b.safetensors" in os.listdir(out)


def test_one_after_the_other_into_one_folder(tmp_path):
    """The second sees what the first has written, however they begin."""
    began, log = threading.Event(), []

    def second():
        began.wait()
        with Store(tmp_path / "out"):
            log.append(sorted(os.listdir(tmp_path / "out"))[1:])

    thread = threading.Thread(target=second)
    thread.start()
    (tmp_path / "out/.convert-dead").mkdir(parents=True)
    with Store(tmp_path / "out") as store:
        began.set()
        store.put("a.safetensors", {"k": np.ones(3)})
        thread.join(0.3)
        assert not log, "it waits"
        store.publish({"files": store.files}, {})
    thread.join()
    assert log == [["a.safetensors", "model.json"]]
