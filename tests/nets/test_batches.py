"""Networks run in batches, several at once: the same as all inputs together, in their order, whichever ends first."""

import time

import numpy as np
import pytest

from emoca_jax.nets.mediapipe.batches import at_once, run_batched


def test_batches_come_back_in_order_and_the_first_runs_alone():
    inputs = np.arange(7 * 4, dtype=np.uint8).reshape(7, 4)
    running, together = [], []

    def network(batch):
        running.append(int(batch[0, 0]))
        together.append(len(running))
        time.sleep(0.02 / (1 + batch[0, 0]))
        running.pop()
        return batch * np.float32(2), batch.sum(axis=1, dtype=np.float32)

    doubled, sums = run_batched(network, inputs, 3)
    np.testing.assert_array_equal(doubled, inputs * 2)
    np.testing.assert_array_equal(sums, inputs.sum(axis=1))
    assert together[0] == 1 and len(together) == 3


def test_what_goes_wrong_in_a_thread_is_told():
    def work(number, name):
        if number == 3:
            raise ValueError(f"{name} is damaged")
        return number, name

    with pytest.raises(ValueError, match="d is damaged"):
        at_once(work, [0, 1, 2, 3], "abcd")
    assert at_once(work, [4], "e") == [(4, "e")]
    assert at_once(work, [], "") == []
