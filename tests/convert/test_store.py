"""Where converted files come to lie: equal contents once, nothing replaced that another model needs."""

import json
import os

import numpy as np

from emoca_jax.convert.store import Store, file_sha256
from emoca_jax.model_folder import read_tensors


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
