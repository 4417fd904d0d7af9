"""Photos and renderings of one face: which units are drawn on whom, and whose labels they get."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from emoca_jax.codes import Codes
from emoca_jax.errors import InputError
from emoca_jax.flame import load_head
from emoca_jax.model import decode
from emoca_jax.nets.emotion.on_open import HEAD, SEEN, TRUNK

pytest.importorskip("grain", reason="grain has no wheel here")
from data_pipelines import rendered_looks
from data_pipelines.found import FOUND
from data_pipelines.rendered_looks import (
    LABELLED,
    ODD,
    VIEWS,
    RenderedLooks,
    in_place,
    labelled_alone,
    labelled_rows,
    load_looks,
    looker,
    odd_units,
    save_looks,
    views_as_faces,
)
from scripts.train_coarse import NETWORK
from scripts.train_recogniser import trained_before

FACES, SIZE = 4, 8


class Coded(SimpleNamespace):
    """Codes of which expression alone matters here."""

    def replace(self, **changed: Any) -> "Coded":
        return Coded(**{**vars(self), **changed})


def test_units_are_drawn_on_their_own_face_and_on_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are of one colour, the face's number; a rendering adds ten times the first unit."""
    told: Any = Coded(expression=jnp.ones((FACES, 2)))

    def draw(codes: Any, seen: Any) -> Any:
        return seen["images"] + 10 * codes.expression[:, :1, None, None]

    monkeypatch.setattr(rendered_looks, "trunk_maps", lambda trunk, pictures: pictures.mean(axis=(1, 2)))
    monkeypatch.setattr(rendered_looks, "crop_image", lambda picture, crop, size: picture)
    whose = np.arange(FACES, dtype=np.float32)
    monkeypatch.setattr(
        rendered_looks.encoder_crops,
        "as_encoded",
        lambda batch, size: {
            "images": jnp.broadcast_to(batch["image"], (FACES, SIZE, SIZE, 3)), "landmarks_mediapipe": batch[FOUND]
        },
    )  # fmt: skip
    units = np.stack([whose + 1, 0 * whose], axis=-1)
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (FACES, 478, 3)).astype(np.float32)
    look = looker(lambda seen: told, draw, {}, size=SIZE, amounts=None)
    maps, shown = look(
        jax.random.key(0), {"image": jnp.asarray(whose[:, None, None, None]), FOUND: points, "units": units}
    )
    for view in range(LABELLED):
        np.testing.assert_array_equal(shown[:, view], units)
    photo, rendering, lent, odd = np.asarray(maps)[..., 0].T
    np.testing.assert_allclose(photo, whose)
    np.testing.assert_allclose(rendering, whose + 10 * (whose + 1))
    np.testing.assert_allclose(lent, (whose + 1) % FACES + 10 * (whose + 1))
    np.testing.assert_allclose(odd, whose + 10 * np.asarray(shown)[:, LABELLED, 0], rtol=1e-3)


def test_odd_units_are_told_or_lent_ones_with_a_quarter_at_random() -> None:
    told, lent = jnp.full((400, 52), 2.0), jnp.full((400, 52), 3.0)
    odd = np.asarray(odd_units(jax.random.key(0), told, lent))
    random = odd <= 1
    np.testing.assert_allclose(random.mean(), ODD, atol=0.01)
    np.testing.assert_allclose(odd[random].mean(), 1 / 3, atol=0.01)
    kept = [set(row[row > 1].tolist()) for row in odd]
    assert all(len(one) == 1 for one in kept) and 150 < sum(2.0 in one for one in kept) < 250


def looks() -> RenderedLooks:
    draw = np.random.default_rng(1)
    maps = draw.normal(size=(2, len(VIEWS), SEEN)).astype(np.float16)
    labels = np.array([3, 5], np.int32), np.array([0.1, 0.2], np.float32), np.array([-0.1, -0.2], np.float32)
    return RenderedLooks(maps, draw.uniform(size=(2, len(VIEWS), 52)).astype(np.float32), *labels)


def test_labelled_views_of_a_face_lie_side_by_side_with_its_labels() -> None:
    batch = views_as_faces(looks()._asdict())
    assert batch["expression"].tolist() == [3, 3, 3, 5, 5, 5]
    for row in range(8):
        face, view = divmod(row, LABELLED) if row < 6 else (row - 6, LABELLED)
        np.testing.assert_array_equal(batch["maps"][row], looks().maps[face, view])
        np.testing.assert_array_equal(batch["units"][row], looks().units[face, view])
    assert {len(array) for array in labelled_alone(batch).values()} == {6}


def test_views_together_are_the_same_rows_in_another_order() -> None:
    apart, together = (views_as_faces(looks()._asdict(), together=each) for each in (False, True))
    np.testing.assert_array_equal(together["maps"][:4], looks().maps[0])
    for name in ("maps", "units"):
        rows = (labelled_rows(jnp.asarray(apart[name])), labelled_rows(jnp.asarray(together[name]), together=True))
        np.testing.assert_array_equal(*rows, err_msg=name)
        assert len(rows[0]) == len(together["expression"]) == 6


def test_looks_are_kept_and_files_of_something_else_refused(tmp_path: Path) -> None:
    place = tmp_path / "new" / "looks.npz"
    save_looks(place, looks())
    for kept, made in zip(load_looks(place), looks(), strict=True):
        np.testing.assert_array_equal(kept, made)
    save_looks(place, looks()._replace(maps=looks().maps[:, :2]))
    with pytest.raises(InputError, match="looks of another network"):
        load_looks(place)
    place.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=r"holds no looks.*look_at_renderings\.py"):
        load_looks(place)


@pytest.mark.thorough
def test_a_rendering_lies_in_its_photos_place_where_the_mask_lets_it() -> None:
    head = jax.device_put(load_head("open"))
    albedo = head.albedo
    assert albedo is not None
    counts = {"shape": head.shape_dirs.shape[-1], "expression": head.expression_dirs.shape[-1]}
    nothing = {name: jnp.zeros((2, count)) for name, count in counts.items()}
    codes = Codes(
        **nothing, pose=jnp.zeros((2, 2, 3)), jaw=jnp.zeros((2, 3)), eyes=jnp.zeros((2, 2, 3)),
        camera=jnp.tile(jnp.array([8.0, 0.0, 0.0]), (2, 1)), albedo=jnp.zeros((2, albedo.basis.shape[-1])),
        light=jnp.zeros((2, 9, 3)).at[:, 0].set(3.0),
    )  # fmt: skip
    photos = jnp.full((2, 16, 16, 3), 0.25)
    mask = jnp.stack([jnp.ones((16, 16)), jnp.zeros((16, 16))])
    placed = np.asarray(in_place(head, codes, {"images": photos, "mask": mask}))
    drawn = decode(head, codes, (16, 16))
    inside = np.asarray(drawn.alpha[0]) == 1
    assert inside.sum() > 40
    np.testing.assert_allclose(placed[0][inside], np.clip(np.asarray(drawn.rendering[0]), 0, 1)[inside], atol=1e-6)
    np.testing.assert_allclose(placed[0][np.asarray(drawn.alpha[0]) == 0], 0.25)
    np.testing.assert_allclose(placed[1], 0.25)


def test_a_recogniser_of_renderings_goes_on_from_one_of_photos(tmp_path: Path) -> None:
    head = {"kernel": np.arange(3.0)}
    before = {"params": {HEAD: head, TRUNK: {"kernel": np.ones(2)}}, "batch_stats": {HEAD: {"mean": np.ones(1)}}}
    np.savez(tmp_path / NETWORK, **flatten_dict(before, sep="/"))
    begun = trained_before(str(tmp_path))
    assert set(begun["params"]) == set(begun["batch_stats"]) == {HEAD}
    np.testing.assert_array_equal(begun["params"][HEAD]["kernel"], head["kernel"])
    assert trained_before("") == {}
    np.savez(tmp_path / NETWORK, **{"params/stem/kernel": np.ones(1), "params/units/kernel": np.ones(1)})
    with pytest.raises(InputError, match="is no run of configs/open/emotion_on_open"):
        trained_before(str(tmp_path))
