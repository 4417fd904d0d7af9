"""Three witnesses of one face: networks of photos, the picture reader, and EMO-MLP, which reads units."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from emoca_jax.emotion.reading import BALANCE, CLASS_COUNTS, EmotionReading, joint_reading
from emoca_jax.nets.emotion.affect import AFFECTNET_CLASSES
from emoca_jax.nets.emotion.open import EXPRESSION_CLASSES, ExpressionRead


def seen(**shares):
    told = np.array([shares.get(name, 0.0) for name in EXPRESSION_CLASSES], np.float32)
    return ExpressionRead(jnp.zeros(2), jnp.asarray(told), jnp.zeros((2, 7)))


def units(**shares):
    return EmotionReading("", {name: shares.get(name, 0.0) for name in AFFECTNET_CLASSES}, 0.0, 0.0)


FLAT = units(**dict.fromkeys(AFFECTNET_CLASSES, 1 / 8))


def test_a_witness_that_says_nothing_leaves_the_others_alone():
    """Bayes' rule with a flat likelihood: only the share of common classes moves, by a root of their counts."""
    read = joint_reading(seen(neutral=0.5, fear=0.5), FLAT, FLAT).probabilities
    ratio = (CLASS_COUNTS["neutral"] / CLASS_COUNTS["fear"]) ** BALANCE
    assert read["fear"] / read["neutral"] == pytest.approx(ratio, rel=1e-3)
    assert sum(read.values()) == pytest.approx(1) and tuple(read) == AFFECTNET_CLASSES
    rare = {name: count**BALANCE for name, count in CLASS_COUNTS.items()}
    even = {name: share / sum(rare.values()) for name, share in rare.items()}
    told = units(contempt=0.6, anger=0.3, sad=0.1)
    for two in ((told, FLAT), (FLAT, told)):
        assert joint_reading(seen(**even), *two).label == "contempt", "of which the networks say nothing"


def test_each_witness_weighs_what_the_page_says():
    """docs/emotion.md: the fifth root of how common a class is, and the powers .55 and .4."""
    picture, told = units(neutral=0.2, fear=0.8), units(neutral=0.3, fear=0.7)
    read = joint_reading(seen(neutral=0.5, fear=0.5), picture, told).probabilities
    ratio = (74_874 / 6_378) ** 0.2 * (0.8 / 0.2) ** 0.55 * (0.7 / 0.3) ** 0.4
    assert read["fear"] / read["neutral"] == pytest.approx(ratio, rel=1e-3)


def test_both_agree_or_the_surer_one_wins():
    faint, angry = seen(anger=0.5, neutral=0.5), units(neutral=0.1, anger=0.8, happy=0.1)
    assert joint_reading(faint, FLAT, angry).label == joint_reading(faint, angry, FLAT).label == "anger"
    doubtful = units(happy=0.2, anger=0.8)
    assert joint_reading(seen(happy=0.99, neutral=0.01), doubtful, doubtful).label == "happy"


def test_valence_and_arousal_are_those_of_the_classes():
    picture = replace(units(surprise=1.0), valence=0.4, arousal=0.67)
    one = joint_reading(seen(surprise=1.0), picture, units(surprise=1.0))
    assert (one.valence, one.arousal) == pytest.approx((0.40, 0.67), abs=5e-3), "Russell and Mehrabian 1977"
    calm, smile = units(neutral=1.0), replace(units(neutral=0.5, happy=0.5), valence=0.9, arousal=-0.4)
    both = joint_reading(seen(neutral=1.0), smile, calm)
    # Calm lies in the middle, and three tenths are the picture reader's own valence and arousal (docs/emotion.md). The
    # others leave a smile a share of less than .005.
    assert both.label == "neutral" and (both.valence, both.arousal) == pytest.approx((0.27, -0.12), abs=4e-3)
