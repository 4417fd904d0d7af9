"""Networks run in batches, several at once: the same as all inputs together, in their order, whichever ends first."""

import threading
import time

import jax
import numpy as np
import pytest

from emoca_jax.nets.mediapipe import batches
from emoca_jax.nets.mediapipe.batches import at_once, run_batched


def test_batches_come_back_in_order_and_the_first_runs_alone():
    inputs = np.arange(7 * 4, dtype=np.uint8).reshape(7, 4)
    done = []

    def network(batch):
        # What comes before the first has ended would be compiled by each thread.
        done.append(("begins", int(batch[0, 0])))
        time.sleep(0.02 / (1 + batch[0, 0]))
        done.append(("ends", int(batch[0, 0])))
        return batch * np.float32(2), batch.sum(axis=1, dtype=np.float32)

    doubled, sums = run_batched(network, inputs, 3)
    np.testing.assert_array_equal(doubled, inputs * 2)
    np.testing.assert_array_equal(sums, inputs.sum(axis=1))
    assert done[:2] == [("begins", 0), ("ends", 0)] and len(done) == 6


def test_threads_work_together_but_for_those_of_others_and_where_jax_was_told_how_to_run(monkeypatch):
    monkeypatch.setattr(batches, "cores", lambda: 2)
    main = threading.current_thread()

    def where(_):
        return threading.current_thread()

    assert main not in at_once(where, range(2))
    with jax.disable_jit():
        assert at_once(where, range(2)) == [main] * 2
    with jax.default_device(jax.devices()[0]):
        assert at_once(where, range(2)) == [main] * 2
    told = []
    other = threading.Thread(target=lambda: told.extend(at_once(where, range(2))))
    other.start()
    other.join()
    assert told == [other] * 2


def test_what_goes_wrong_in_a_thread_is_told():
    def work(number, name):
        if number == 3:
            raise ValueError(f"{name} is damaged")
        return number, name

    with pytest.raises(ValueError, match="d is damaged"):
        at_once(work, [0, 1, 2, 3], "abcd")
    assert at_once(work, [4], "e") == [(4, "e")]
    assert at_once(work, [], "") == []
