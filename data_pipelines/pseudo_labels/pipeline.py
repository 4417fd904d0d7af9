"""The shards as an Apache Beam pipeline: on this machine, Dataflow, Flink or Spark, unchanged. Needs the extra `beam`.

Workers load the networks once each, label shards and write them; nothing but counts comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam  # pyright: ignore[reportMissingImports]

from data_pipelines.pseudo_labels import places
from data_pipelines.pseudo_labels.label import Labeller, Wanted, load_labeller
from data_pipelines.pseudo_labels.shards import SUMMARY, Counts, Shard, added, summary


class LabelShards(beam.DoFn):
    """Labels a shard and gives its counts."""

    def __init__(self, wanted: Wanted, output: str) -> None:
        super().__init__()
        self.wanted, self.output = wanted, output
        self.labeller: Labeller | None = None

    def setup(self) -> None:
        """Once a worker."""
        self.labeller = load_labeller(self.wanted)

    def process(self, element: Shard) -> Iterator[Counts]:
        assert self.labeller is not None
        yield places.do_shard(self.labeller, Shard(*element), self.output)


def run(shards: Sequence[Shard], wanted: Wanted, output: str, options: Any) -> None:
    """Label all shards; returns when the pipeline has ended, where the runner waits for it."""
    with beam.Pipeline(options=options) as pipeline:
        made = pipeline | beam.Create(shards, reshuffle=True) | beam.ParDo(LabelShards(wanted, output))
        total = made | beam.CombineGlobally(added)
        _ = total | beam.Map(_write, output=output)


def _write(total: Counts, *, output: str) -> None:
    places.write(output, SUMMARY, summary(Counts(*total)))
