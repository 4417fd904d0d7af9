"""Name of a dataset -> what writes a few made-up samples in the format of its official folder."""

from tests.datasets import (
    official_afew_va,
    official_affectnet,
    official_emotionet,
    official_now,
    official_open_faces,
    official_vggface2_hq,
    official_voxceleb2,
)

MAKERS = {
    "affectnet": official_affectnet.make,
    "afew_va": official_afew_va.make,
    "emotionet": official_emotionet.make,
    "now": official_now.make,
    "open_faces": official_open_faces.make,
    "vggface2_hq": official_vggface2_hq.make,
    "voxceleb2": official_voxceleb2.make,
}
