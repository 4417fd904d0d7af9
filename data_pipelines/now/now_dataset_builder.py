"""The NoW challenge's photos for TFDS: `python -m data_pipelines.build now --manual_dir FOLDER`."""

from pathlib import Path

import tensorflow_datasets as tfds

from data_pipelines.builder import SampleBuilder
from data_pipelines.now import folder
from data_pipelines.samples import Split


class Builder(SampleBuilder):
    """See `folder.DESCRIPTION`."""

    DESCRIPTION = folder.DESCRIPTION
    VERSION = tfds.core.Version(DESCRIPTION.version)
    MANUAL_DOWNLOAD_INSTRUCTIONS = DESCRIPTION.folder

    def splits(self, manual_dir: Path) -> dict[str, Split]:
        """See `folder.find`."""
        return folder.find(manual_dir)
