"""Write the fuzzer's corpus: small made-up files of every kind the readers know. Needs the `dev` extras and omegaconf.

    PYTHONPATH=. python fuzz/make_corpus.py

The files are committed, so that the fuzzer needs neither; run this again only to add a kind.
"""

import argparse
import pathlib
import pickle
import zipfile
from pathlib import Path

import numpy as np
import omegaconf
import scipy.sparse
import torch

from tests.safe_files.foreign_classes import foreign, pickled, python_2_pickle, with_state
from tests.safe_files.torch_checkpoints import PLAIN, WIDENED, big_endian_copy, tar_checkpoint

CORPUS = Path(__file__).parent / "corpus"
CONFIG = {"model": {"n_exp": 50, "name": "made-up", "layers": [1, 2.5, None]}, "on": True}


def state_dict() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(3, 2))
    return network.state_dict()


def views() -> dict:
    base = torch.arange(60.0)
    return {
        "whole": base,
        "transposed": base.view(6, 10).T,
        "expanded": base[:3, None].expand(3, 4),
        "windows": base.as_strided((5, 6), (2, 3), 7),
        "scalar": base[7],
        "empty": base[:0].view(0, 4),
        "parameter": torch.nn.Parameter(base.view(6, 10)[2:4]),
    }


def lightning() -> dict:
    return {
        "epoch": 3,
        "global_step": 7,
        "pytorch-lightning_version": "1.4.9",
        "state_dict": state_dict(),
        "hyper_parameters": {"cfg": omegaconf.OmegaConf.create(CONFIG), "args": argparse.Namespace(lr=0.1)},
        "path": pathlib.PurePosixPath("runs/made-up"),
        "optimizer_states": [{"state": {0: {"step": 1, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3}]}],
    }


def arrays() -> dict:
    objects = np.array([1, None, "text", {"a": 1.5}], object)
    return {
        "float": np.arange(12.0).reshape(3, 4),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "objects": objects,
        "scalar": np.float32(1.5),
        "long": np.arange(400.0),
        "text": np.array(["a", "bc"]),
        "sparse": scipy.sparse.csc_matrix(np.eye(3)),
        "coordinates": scipy.sparse.coo_matrix(np.eye(2)),
        "bytes": b"\0\xff",
        "number": 1 << 70,
        "set": {1, 2},
    }


def chumpy() -> bytes:
    base = foreign("chumpy.ch.Ch")
    select, reshape = (foreign(f"chumpy.reordering.{name}", base) for name in ("Select", "Reshape"))

    def make() -> dict:
        x = with_state(base, _dirty_vars=set(), _itr=None, x=np.arange(12.0).reshape(4, 3))
        return {
            "x": x,
            "select": with_state(select, a=x, idxs=np.array([1, 5]), preferred_shape=(2, 1)),
            "reshape": with_state(reshape, a=x, newshape=(2, 6)),
        }

    return pickled(make, base, select, reshape)


def main() -> None:
    CORPUS.mkdir(exist_ok=True)
    kinds = {kind: torch.arange(16, dtype=torch.uint8).view(getattr(torch, kind)) for kind in (*PLAIN, *WIDENED)}
    torch.save(state_dict(), CORPUS / "state_dict.pt")
    torch.save(views(), CORPUS / "views.pt")
    torch.save(kinds, CORPUS / "kinds.pt")
    torch.save(lightning(), CORPUS / "lightning.ckpt")
    torch.save(views(), CORPUS / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(lightning(), CORPUS / "legacy_lightning.ckpt", _use_new_zipfile_serialization=False)
    big_endian_copy(CORPUS / "views.pt", CORPUS / "big_endian.pt")
    tar_checkpoint(CORPUS / "first_version.tar", torch.arange(12.0).view(3, 4), 5)
    with zipfile.ZipFile(CORPUS / "views.pt") as old, zipfile.ZipFile(CORPUS / "deflated.pt", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    for protocol in range(6):
        (CORPUS / f"protocol_{protocol}.pkl").write_bytes(pickle.dumps(arrays(), protocol))
    (CORPUS / "tensors.pkl").write_bytes(pickle.dumps({"a": torch.arange(6).view(2, 3).T, "b": torch.ones(2)}))
    (CORPUS / "chumpy.pkl").write_bytes(chumpy())
    (CORPUS / "python_2.pkl").write_bytes(python_2_pickle(np.arange(40.0)))
    np.save(CORPUS / "plain.npy", np.arange(12.0).reshape(3, 4))
    np.save(CORPUS / "fortran.npy", np.asfortranarray(np.arange(12).reshape(3, 4)))
    table = np.array({"faces": torch.arange(6).view(2, 3), "static": np.arange(5)}, object)
    np.save(CORPUS / "objects.npy", table, allow_pickle=True)
    members = {"mean": np.arange(12.0), "basis": np.ones((3, 4), np.float32), "objects": table}
    np.savez(CORPUS / "stored.npz", **members)
    np.savez_compressed(CORPUS / "deflated.npz", **members)


if __name__ == "__main__":
    main()
