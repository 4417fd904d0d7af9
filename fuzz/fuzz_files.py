"""Feed damaged meshes, heads, descriptions and configurations to their readers, as `fuzz_readers` does with weights.

    python fuzz/fuzz_files.py --runs 50000

Targets: .glb, .obj and .ply (`read_mesh`), head .npz and .json (`load_head`), `model.json` (`read_model_folder` and
what it opens), `cfg.yaml` (`read_config`). A file fails if anything but `InputError` comes out, if it takes over 5
seconds, if memory runs out (1 GiB above the start), or if meanwhile a process or a connection is started or a file is
written, moved or removed. The libraries below import as they please. Exit code 1 if any fails; failing files are kept
in `fuzz/failures`.
"""

import argparse
import collections
import contextlib
import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fuzz_readers import HERE, Forbidden, Outcome, Watch, limit_memory, outcome, report
from json_mutations import mutated_glb, mutated_json
from mutations import mutated
from PIL import Image

from emoca_jax.convert.run_folders import read_config
from emoca_jax.errors import InputError
from emoca_jax.flame.head_file import load_head
from emoca_jax.mesh_view.mesh_files import read_mesh
from emoca_jax.model_folder import read_model_folder

CORPUS = HERE / "corpus_files"
FORBIDDEN = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.dlopen", "pty.", "urllib.")
ALLOWED = ("os.listdir", "os.scandir", "os.walk", "os.fwalk")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Target(NamedTuple):
    """What is damaged, and who reads it."""

    file: str
    """In the corpus; the others lie beside it, whole."""
    read: Callable[[Path], Any]
    seal: Callable[[Path], None] = lambda path: None
    """Makes checksums right again, so that the reader goes on."""


class LaxWatch(Watch):
    """Only what changes the world is forbidden."""

    def __call__(self, event: str, arguments: tuple) -> None:
        if self.path is None:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if writes or (event.startswith(FORBIDDEN) and event not in ALLOWED):
            self.seen = f"{event} {arguments!r:.200}"
            self.path = None
            raise Forbidden(self.seen)


def mesh_arrays(path: Path) -> list[np.ndarray]:
    """All arrays of a mesh."""
    mesh = read_mesh(path)
    return [mesh.vertices, mesh.faces, mesh.normals, mesh.uv, mesh.colours, mesh.face_picture, *mesh.pictures]


def head_arrays(path: Path) -> list[np.ndarray]:
    """Some arrays of a head; all of them have been checked by then."""
    head = load_head(path.with_suffix(".npz"))
    return [np.asarray(head.template), np.asarray(head.skin_weights)]


def folder_arrays(path: Path) -> list[np.ndarray]:
    """What commands ask of a model folder."""
    folder = read_model_folder(path.parent)
    asks: tuple[Callable[[], Any], ...] = (
        lambda: folder.variant,
        lambda: folder.options.get("albedo"),
        lambda: folder.head,
        lambda: folder.map("face_mask"),
        lambda: folder.variables("detail_decoder"),
        lambda: folder.variables("emonet"),
    )
    for ask in asks:
        with contextlib.suppress(InputError):
            ask()
    return []


def seal_head(path: Path) -> None:
    """The hash in head.json becomes that of head.npz."""
    description = path.with_suffix(".json")
    document = json.loads(description.read_bytes())
    if isinstance(document, dict):
        document["sha256"] = hashlib.sha256(path.with_suffix(".npz").read_bytes()).hexdigest()
        description.write_text(json.dumps(document))


TARGETS = (
    Target("square.glb", mesh_arrays),
    Target("skinned.glb", mesh_arrays),
    Target("square.obj", mesh_arrays),
    Target("square.mtl", lambda path: mesh_arrays(path.with_suffix(".obj"))),
    Target("square.png", lambda path: mesh_arrays(path.with_suffix(".obj"))),
    Target("ascii.ply", mesh_arrays),
    Target("binary.ply", mesh_arrays),
    Target("head.npz", head_arrays, seal_head),
    Target("head.json", head_arrays),
    Target("model.json", folder_arrays),
    Target("cfg.yaml", lambda path: [np.zeros(len(read_config(path)))]),
)


def damaged(chance: random.Random, name: str, data: bytes, others: list[bytes]) -> bytes:
    """The bytes of a corpus file, damaged as bytes or as what they mean."""
    if name.endswith(".glb") and chance.random() < 0.7:
        return mutated_glb(chance, data)
    if name.endswith(".json") and chance.random() < 0.8:
        document = mutated_json(chance, json.loads(data))
        return json.dumps(document).encode("utf-8", "surrogatepass")
    return mutated(chance, data, others)


def one_run(target: Target, folder: Path, data: bytes, watch: Watch) -> Outcome:
    """Read one damaged file among whole ones."""
    path = folder / target.file
    path.write_bytes(data)
    beside = path.with_suffix(".json")
    kept = beside.read_bytes() if target.file == "head.npz" else b""
    target.seal(path)
    result = outcome(target.read, path, watch)
    if kept:
        beside.write_bytes(kept)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description="Feed damaged meshes, heads, descriptions and configurations.")
    parser.add_argument("--runs", type=int, default=50_000, help="how many files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first file's number")
    parser.add_argument("--only", default="", help="a file of the corpus")
    options = parser.parse_args()

    corpus = {path.name: path.read_bytes() for path in sorted(CORPUS.iterdir())}
    others = list(corpus.values())
    targets = [target for target in TARGETS if options.only in ("", target.file)]
    counts: dict[str, collections.Counter[str]] = {target.file: collections.Counter() for target in targets}
    slowest = (0.0, "")
    Image.init()
    watch = LaxWatch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in corpus.items():
            (folder / file).write_bytes(data)
        for target in TARGETS:
            target.read(folder / target.file)
        limit_memory()
        peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        for target in targets:
            for number in range(options.first, options.first + options.runs):
                chance = random.Random(f"{options.seed}/{target.file}/{number}")
                data = damaged(chance, target.file, corpus[target.file], others)
                result = one_run(target, folder, data, watch)
                counts[target.file][result.verdict] += 1
                slowest = max(slowest, (result.seconds, f"number {number}, {target.file}"))
                if result.verdict == "failed":
                    (HERE / "failures").mkdir(exist_ok=True)
                    (HERE / "failures" / f"{options.seed}-{number}-{target.file}").write_bytes(data)
                    print(f"number {number} ({target.file}): {result.reason}", flush=True)
            (folder / target.file).write_bytes(corpus[target.file])
            # Now, as a run that is stopped tells no more.
            print(f"{target.file}: {dict(sorted(counts[target.file].items()))}", flush=True)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before
    return report(counts, seconds, slowest, peak)


if __name__ == "__main__":
    sys.exit(main())
