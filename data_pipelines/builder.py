"""What the builders of all datasets share: a description becomes TFDS features, a split becomes records.

TensorFlow is neither needed nor imported. Records are written in the order of the splits' rows, so that sample i of the
records is sample i of the folder.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from data_pipelines.samples import Description, Field, Label, Numbers, Picture, Sample, Split

COLUMNS = "columns"
"""Key of the metadata: split -> name -> whole numbers, see `Split.columns`."""


def features_of(description: Description) -> tfds.features.FeaturesDict:
    """The TFDS features of a dataset, with what the description says of each."""
    return tfds.features.FeaturesDict({name: _feature(field) for name, field in description.fields.items()})


class SampleBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder whose samples come from `splits`; subclasses set DESCRIPTION and VERSION and implement `splits`."""

    DESCRIPTION: ClassVar[Description]
    beam: ClassVar[bool] = False
    """Read and write samples by an Apache Beam pipeline; the records are the same, byte for byte."""

    def splits(self, manual_dir: Path) -> dict[str, Split]:
        """The splits of the official folder. Errors: InputError, one sentence that names what is missing."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        described = self.DESCRIPTION
        self._whole_numbers = tfds.core.MetadataDict()
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{described.about}\n\n{described.source}",
            citation=described.citation,
            features=features_of(described),
            # Order of the rows, see above. Whoever trains shuffles anew in every epoch.
            disable_shuffling=True,
            metadata=self._whole_numbers,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        folder = Path(dl_manager.manual_dir) if self.DESCRIPTION.folder is not None else Path()
        splits = self.splits(folder)
        columns = {name: {key: list(map(int, c)) for key, c in split.columns.items()} for name, split in splits.items()}
        self._whole_numbers[COLUMNS] = columns
        return {name: self._generate_examples(split) for name, split in splits.items()}

    def _generate_splits(self, *arguments: Any, **named: Any) -> Any:
        with _sorted_fields():
            return super()._generate_splits(*arguments, **named)

    def _generate_examples(self, split: Split) -> Any:
        if not self.beam:
            return self._one_after_another(split)
        from data_pipelines.beam import read_all

        return read_all(split, functools.partial(_checked, description=self.DESCRIPTION))

    def _one_after_another(self, split: Split) -> Iterator[tuple[int, Sample]]:
        for index in range(len(split)):
            yield index, _checked(split[index], description=self.DESCRIPTION)


class SortedExamples(example_serializer.ExampleSerializer):
    """TFDS's serialiser, with the fields sorted: its own order differs from run to run, and so would the records."""

    def serialize_example(self, example: Any) -> bytes:
        return self.get_tf_example(example).SerializeToString(deterministic=True)


@contextlib.contextmanager
def _sorted_fields() -> Iterator[None]:
    """TFDS has no argument for the serialiser; the writers made meanwhile take `SortedExamples`, to workers too."""
    original = example_serializer.ExampleSerializer
    example_serializer.ExampleSerializer = SortedExamples
    try:
        yield
    finally:
        example_serializer.ExampleSerializer = original


def _checked(sample: Sample, *, description: Description) -> Sample:
    """The sample, with the fields of its description and no others."""
    if sample.keys() != description.fields.keys():
        raise ValueError(f"{description.name}: a sample has the fields {sorted(sample)}")
    return sample


def _feature(field: Field) -> tfds.features.FeatureConnector:
    documentation = tfds.features.Documentation(desc=field.about)
    if isinstance(field, Picture):
        return tfds.features.Image(shape=(None, None, 3), doc=documentation)
    if isinstance(field, Label):
        return tfds.features.ClassLabel(names=list(field.names), doc=documentation)
    if isinstance(field, Numbers):
        return tfds.features.Tensor(shape=field.shape, dtype=np.dtype(field.dtype), doc=documentation)
    return tfds.features.Text(doc=documentation)
