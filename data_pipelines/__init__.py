"""Datasets: official folders and our own renders to records, and records to batches. See docs/datasets.md."""

NAMES = ("affectnet", "afew_va", "emotionet", "now", "open_faces", "vggface2_hq", "voxceleb2")
"""Every dataset is a package of this name with `folder.py` (samples) and `<name>_dataset_builder.py` (TFDS)."""
