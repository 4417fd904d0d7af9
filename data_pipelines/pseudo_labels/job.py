"""The job: a plan of the shards, every shard, and their counts; one after the other or by Apache Beam."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.progress import track

from data_pipelines.beam import pipeline_options
from data_pipelines.pseudo_labels import places
from data_pipelines.pseudo_labels.label import Wanted, load_labeller
from data_pipelines.pseudo_labels.shards import PLAN, SUMMARY, Counts, added, plan, shards_of, summary
from emoca_jax.errors import InputError, checked_size

MOST_PER_SHARD = 1 << 14


def pseudo_label(
    inputs: Sequence[str], output: str, wanted: Wanted, *, per_shard: int = 256, beam: str | None = None
) -> Counts:
    """Label the photos behind names, folders and patterns into the folder `output`.

    per_shard: photos a shard, of which an interruption loses one. beam: None to do one photo after another, or options
    of an Apache Beam pipeline, with commas between; both write the same bytes. Errors: InputError, one sentence, where
    there are no photos or networks, or the folder holds labels of other photos or networks.
    """
    checked_size("per_shard", per_shard, most=MOST_PER_SHARD)
    options = None if beam is None else pipeline_options(beam)
    photos = places.find_photos(inputs)
    places.prepare(output)
    planned, there = plan(photos, per_shard, wanted), places.read_or_none(output, PLAN)
    if there is None:
        places.write(output, PLAN, planned)
    elif there != planned:
        raise InputError(f"{output}: holds labels of other photos, networks or options; give another --output")
    shards = shards_of(photos, per_shard)
    if options is None:
        labeller = load_labeller(wanted)
        shown = track(shards, "shards", disable=not sys.stderr.isatty())
        places.write(output, SUMMARY, summary(added(places.do_shard(labeller, shard, output) for shard in shown)))
    else:
        from data_pipelines.pseudo_labels.pipeline import run

        run(shards, wanted, output, options)
    made = places.read_or_none(output, SUMMARY)
    if made is None:
        raise InputError(f"{output}: the pipeline has been started; it writes {SUMMARY} when it is done")
    return Counts(**json.loads(made))
