"""Name of a dataset -> what writes a few made-up samples in the format of its official folder."""

from tests.datasets import official_affectnet, official_open_faces

MAKERS = {"affectnet": official_affectnet.make, "open_faces": official_open_faces.make}
