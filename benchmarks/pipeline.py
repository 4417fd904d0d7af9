"""Packaged pictures to shuffled batches, ours beside tf.data and torch's DataLoader: images a second and core.

    python benchmarks/pipeline.py [--pictures 256] [--size 512] [--side 256] [--batch 64] [--threads 2] [--runs 9]

Made-up portraits (parts of the two photos in examples/, JPEG, quality 90) of `size` pixels are decoded and brought to
`side`, shuffled, batched and kept ready a batch or two ahead, by each in a process of its own under this one, taking
turns. tf.data reads TFRecords of the same bytes, and decodes to the same pixels (INTEGER_ACCURATE); torch's DataLoader
reads the JPEG files, with Pillow, which its users have, and with our decoder.

Counts processor time of all threads and worker processes, so that other programs on the machine matter less; wall time
is told as well. tensorflow and torch are no dependencies: without one its rows are left out. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

READERS = {
    "ours": "ours: grain, threads, array_record",
    "ours_folder": "ours: the official folder, unpackaged",
    "tfdata": "tf.data, TFRecord",
    "tfdata_coarse": "tf.data, TFRecord, decoded coarser where ours is",
    "torch": "torch DataLoader, processes, files, Pillow",
    "torch_same": "torch DataLoader, processes, files, our decoder",
}
NEEDS = {"tfdata": "tensorflow", "tfdata_coarse": "tensorflow", "torch": "torch", "torch_same": "torch"}
WARM_BATCHES = 8
"""Taken before the clock starts: more than are kept ready."""
AHEAD = 2
"""Batches kept ready by everyone."""
QUALITY = 90
IDENTITIES = 16


class Work(NamedTuple):
    """What every reader does."""

    folder: Path
    side: int
    batch: int
    threads: int


class Sample(NamedTuple):
    wall: float
    processor: float
    """Seconds of all threads and child processes together."""


class Worker:
    """A child process that takes so many batches for each line it reads, and answers with the two times."""

    def __init__(self, reader: str, arguments: list[str]) -> None:
        command = [sys.executable, __file__, "--worker", reader, *arguments]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self) -> Sample:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return Sample(*map(float, self.process.stdout.readline().split()))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(batches: Iterator[Any], count: int) -> None:
    """The worker's side."""
    for _ in sys.stdin:
        for _ in range(WARM_BATCHES):
            next(batches)
        began, used = time.perf_counter(), processor_seconds()
        for _ in range(count):
            next(batches)
        print(time.perf_counter() - began, processor_seconds() - used, flush=True)


def processor_seconds() -> float:
    """Of this process and the children that it has now."""
    ticks, total = os.sysconf("SC_CLK_TCK"), time.process_time()
    for task in Path("/proc/self/task").iterdir():
        # Threads may end meanwhile.
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                fields = Path("/proc", child, "stat").read_text().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def our_batches(work: Work, *, packaged: bool) -> Iterator[Any]:
    """As docs/datasets.md has it."""
    from data_pipelines.loader import Batching, batches
    from data_pipelines.sources import open_folder, open_records

    name, split = "vggface2_hq", "train"
    source = (
        open_records(name, split, data_dir=work.folder / "records")
        if packaged
        else open_folder(name, split, manual_dir=work.folder / "official")
    )
    batching = Batching(work.batch, side=work.side, margin=None, threads=work.threads, ahead=AHEAD)
    return iter(batches(source, batching))


def tf_batches(work: Work, *, coarser: bool) -> Iterator[Any]:
    """As its guide says. TFRecords cannot be read by number: a buffer that holds all of them shuffles."""
    import tensorflow as tf

    from data_pipelines.pixels import REDUCTIONS

    tf.config.threading.set_inter_op_parallelism_threads(work.threads)
    tf.config.threading.set_intra_op_parallelism_threads(work.threads)
    fine = packaged_side(work.folder) / work.side
    ratio = max((times for times in REDUCTIONS if coarser and fine >= times), default=1)
    layout = {"image": tf.io.FixedLenFeature([], tf.string)}

    def read(record: Any) -> Any:
        encoded = tf.io.parse_single_example(record, layout)["image"]
        image = tf.io.decode_jpeg(encoded, 3, ratio, dct_method="INTEGER_ACCURATE")
        if fine != ratio:
            image = tf.image.resize(image, (work.side, work.side), antialias=True)
            image = tf.cast(tf.round(image), tf.uint8)
        return image

    records = tf.data.TFRecordDataset(str(work.folder / "pictures.tfrecord")).cache().shuffle(1 << 14, seed=0).repeat()
    dataset = records.map(read, num_parallel_calls=work.threads, deterministic=True).batch(work.batch)
    options = tf.data.Options()
    options.threading.private_threadpool_size = work.threads
    return dataset.prefetch(AHEAD).with_options(options).as_numpy_iterator()


class Files:
    """Files as torch's DataLoader takes them."""

    def __init__(self, work: Work, *, pillow: bool) -> None:
        self.names, self.side, self.pillow = pictures(work.folder), work.side, pillow

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        from data_pipelines.pixels import decoded, square

        if not self.pillow:
            return square(decoded(self.names[index].read_bytes()), None, margin=1.0, side=self.side)[0]
        with Image.open(self.names[index]) as image:
            whole = image.convert("RGB")
        bilinear = Image.Resampling.BILINEAR
        same = whole.size == (self.side, self.side)
        return np.asarray(whole if same else whole.resize((self.side, self.side), bilinear))


def torch_batches(work: Work, *, pillow: bool) -> Iterator[Any]:
    """Worker processes, as many as the others have threads."""
    from torch.utils.data import DataLoader

    files: Any = Files(work, pillow=pillow)
    loader = DataLoader(
        files, work.batch, shuffle=True, num_workers=work.threads, drop_last=True, persistent_workers=True,
        prefetch_factor=AHEAD,
    )  # fmt: skip
    while True:
        yield from loader


def reader(name: str, work: Work) -> Iterator[Any]:
    """Batches without end."""
    makers: dict[str, Callable[[], Iterator[Any]]] = {
        "ours": lambda: our_batches(work, packaged=True),
        "ours_folder": lambda: our_batches(work, packaged=False),
        "tfdata": lambda: tf_batches(work, coarser=False),
        "tfdata_coarse": lambda: tf_batches(work, coarser=True),
        "torch": lambda: torch_batches(work, pillow=True),
        "torch_same": lambda: torch_batches(work, pillow=False),
    }
    return makers[name]()


def pictures(folder: Path) -> list[Path]:
    return sorted((folder / "official").rglob("*.jpg"))


def packaged_side(folder: Path) -> int:
    with Image.open(pictures(folder)[0]) as image:
        return image.width


def make(folder: Path, count: int, size: int) -> None:
    """The pictures as an official folder of VGGFace2-HQ, as its records, and as a TFRecord where TensorFlow is."""
    from data_pipelines.build import build

    rng = np.random.default_rng(0)
    photos = [Image.open(path).convert("RGB") for path in sorted((ROOT / "examples").glob("*.jpg"))]
    for number in range(count):
        photo = photos[number % len(photos)]
        part = rng.uniform(0.5, 0.9) * min(photo.size)
        left, top = (rng.uniform(0, extent - part) for extent in photo.size)
        # Names that all belong to the training split.
        path = (
            folder
            / "official"
            / "VGGface2_None_norm_512_true_bygfpgan"
            / f"n{number % IDENTITIES:06d}"
            / f"{number:04d}_01.jpg"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = photo.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + part, top + part))
        shown.save(path, quality=QUALITY)
    build("vggface2_hq", manual_dir=folder / "official", data_dir=folder / "records")
    if is_there("tfdata"):
        import tensorflow as tf

        with tf.io.TFRecordWriter(str(folder / "pictures.tfrecord")) as writer:
            for path in pictures(folder):
                value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[path.read_bytes()]))
                writer.write(tf.train.Example(features=tf.train.Features(feature={"image": value})).SerializeToString())


def is_there(name: str) -> bool:
    return name not in NEEDS or importlib.util.find_spec(NEEDS[name]) is not None


def compare(asked: argparse.Namespace, folder: Path) -> None:
    """Readers take turns, so that whatever disturbs the machine disturbs all of them."""
    told = [str(folder), "--side", str(asked.side), "--batch", str(asked.batch), "--threads", str(asked.threads)]
    names = [name for name in READERS if is_there(name)]
    for name in READERS.keys() - set(names):
        print(f"{READERS[name]}: left out, {NEEDS[name]} is not installed")
    workers = {name: Worker(name, [*told[1:], "--folder", told[0], "--batches", str(asked.batches)]) for name in names}
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for worker in workers.values():
        worker.run()
    for _ in range(asked.runs):
        for name, worker in workers.items():
            samples[name].append(worker.run())
    for worker in workers.values():
        worker.close()
    images = asked.batch * asked.batches
    per_core = {name: [images / sample.processor for sample in taken] for name, taken in samples.items()}
    walls = {name: [images / sample.wall for sample in taken] for name, taken in samples.items()}
    print("\n| reader | images/s and core, median | range | images/s, median | ours over it, per core |")
    print("| --- | --- | --- | --- | --- |")
    ours = np.array(per_core["ours"])
    for name, rates in per_core.items():
        ratio = float(np.median(ours / np.array(rates)))
        span = f"{min(rates):.0f} - {max(rates):.0f}"
        print(f"| {READERS[name]} | {np.median(rates):.0f} | {span} | {np.median(walls[name]):.0f} | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--size", type=int, default=512, help="pixels a side as packaged")
    parser.add_argument("--side", type=int, default=256, help="pixels a side in batches")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=8, help="taken each time")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--worker", choices=list(READERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        serve(reader(asked.worker, Work(asked.folder, asked.side, asked.batch, asked.threads)), asked.batches)
        return
    versions = {name: importlib.metadata.version(name) for name in ("grain", "simplejpeg", "pillow")}
    versions |= {NEEDS[name]: importlib.import_module(NEEDS[name]).__version__ for name in NEEDS if is_there(name)}
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {told}")
    print(f"{asked.pictures} pictures of {asked.size} px to {asked.side} px, batches of {asked.batch}, ", end="")
    print(f"{asked.threads} threads, {asked.runs} runs in turn")
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), asked.pictures, asked.size)
        compare(asked, Path(folder))


if __name__ == "__main__":
    main()
