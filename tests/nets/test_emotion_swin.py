"""Swin against the transformers package, an implementation that shares nothing with ours, on random weights."""

import jax
import numpy as np
import pytest

from emoca_jax.convert.readers.emotion_networks import emotion_swin, swin
from emoca_jax.errors import InputError
from emoca_jax.nets.emotion.swin import EmotionSwin
from emoca_jax.nets.emotion.swin_blocks import region_mask, relative_position_index

TOLERANCE = 1e-5
"""Largest difference over the RMS of the other implementation's values."""
SMALL = EmotionSwin(channels=24, depths=(2, 3, 2), heads=(2, 3, 6))
SMALL_IMAGES = (2, 112, 112, 3)
"""28 x 28 patches at first: windows shift in two stages, and the last one is a single window."""


def official_state(module, images, seed=0):
    """Random weights in the official layout, buffers included."""
    generator = np.random.default_rng(seed)
    state = {}

    def draw(name, *shape, spread=None):
        spread = spread or (2 / shape[-1]) ** 0.5
        state[f"swin.{name}"] = generator.normal(0, spread, shape).astype(np.float32)

    def linear(name, outputs, inputs, bias=True):
        draw(f"{name}.weight", outputs, inputs, spread=inputs**-0.5)
        if bias:
            draw(f"{name}.bias", outputs, spread=0.1)

    def norm(name, width):
        state[f"swin.{name}.weight"] = generator.uniform(0.5, 1.5, width).astype(np.float32)
        draw(f"{name}.bias", width, spread=0.1)

    width, side = module.channels, images[1] // 4
    draw("patch_embed.proj.weight", width, 3, 4, 4, spread=0.2)
    draw("patch_embed.proj.bias", width, spread=0.1)
    norm("patch_embed.norm", width)
    for stage, (depth, heads) in enumerate(zip(module.depths, module.heads, strict=True)):
        for block in range(depth):
            place = f"layers.{stage}.blocks.{block}"
            norm(f"{place}.norm1", width)
            norm(f"{place}.norm2", width)
            linear(f"{place}.attn.qkv", 3 * width, width)
            linear(f"{place}.attn.proj", width, width)
            draw(f"{place}.attn.relative_position_bias_table", 169, heads, spread=1.0)
            linear(f"{place}.mlp.fc1", 4 * width, width)
            linear(f"{place}.mlp.fc2", width, 4 * width)
            state[f"swin.{place}.attn.relative_position_index"] = np.zeros((49, 49), np.int64)
            if block % 2 and side > 7:
                state[f"swin.{place}.attn_mask"] = np.zeros(((side // 7) ** 2, 49, 49), np.float32)
        if stage + 1 < len(module.depths):
            norm(f"layers.{stage}.downsample.norm", 4 * width)
            linear(f"layers.{stage}.downsample.reduction", 2 * width, 4 * width, bias=False)
            width, side = 2 * width, side // 2
    norm("norm", width)
    linear("head", 10, width)
    return state


def transformers_swin(module, state, images):
    """Their model with our made-up weights: names translated, query, key and value apart."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers", minversion="5")
    config = transformers.SwinConfig(
        image_size=images[1],
        embed_dim=module.channels,
        depths=list(module.depths),
        num_heads=list(module.heads),
        window_size=7,
        layer_norm_eps=1e-5,
    )
    network = transformers.SwinModel(config).eval()
    theirs = {}
    for key, value in state.items():
        name = key.removeprefix("swin.")
        if name.startswith("head.") or name.endswith(("relative_position_index", "attn_mask")):
            continue
        for official, their in (
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("patch_embed.norm", "embeddings.norm"),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("attn.proj", "attention.o_proj"),
            ("attn.relative", "attention.relative_position_bias.relative"),
        ):
            name = name.replace(official, their)
        name = f"encoder.{name}" if name.startswith("layers.") else name
        name = f"layernorm.{name.removeprefix('norm.')}" if name.startswith("norm.") else name
        parts = {name: value}
        if ".attn.qkv." in name:
            thirds = zip("qkv", np.split(value, 3), strict=True)
            parts = {name.replace("attn.qkv", f"attention.{part}_proj"): third for part, third in thirds}
        theirs |= {name: torch.from_numpy(np.array(value)) for name, value in parts.items()}
    missing, unexpected = network.load_state_dict(theirs, strict=False)
    assert not unexpected and all(name.endswith("relative_position_index") for name in missing)
    return network


def assert_close(ours, theirs):
    theirs = np.asarray(theirs, np.float64)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=TOLERANCE * np.sqrt(np.mean(theirs**2)))


def compare(module, images, translated, state):
    torch = pytest.importorskip("torch")
    pictures = np.random.default_rng(1).random(images, np.float32)
    network = transformers_swin(module, state, images)
    with torch.no_grad():
        pooled = network(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())).pooler_output.numpy()
    read = jax.jit(module.apply)(translated.variables, pictures)
    assert_close(read.features, pooled)
    outputs = pooled.astype(np.float64) @ state["swin.head.weight"].T + state["swin.head.bias"]
    assert_close(read.expression_logits, outputs[:, :8])
    assert_close(read.valence, outputs[:, 8])
    assert_close(read.arousal, outputs[:, 9])


def test_a_small_swin_equals_transformers():
    state = official_state(SMALL, SMALL_IMAGES)
    translated = swin(state, SMALL, SMALL_IMAGES, what="small Swin")
    assert [row.source for row in translated.rows] == list(state)
    skipped = {row.source.rpartition(".")[2] for row in translated.rows if row.target is None}
    assert skipped == {"relative_position_index", "attn_mask"}
    compare(SMALL, SMALL_IMAGES, translated, state)


@pytest.mark.slow
def test_swin_b_equals_transformers():
    module, images = EmotionSwin(), (2, 224, 224, 3)
    state = official_state(module, images)
    compare(module, images, emotion_swin(state), state)


def test_only_swin_b_is_taken():
    with pytest.raises(InputError, match=r"patch_embed\.proj\.weight should be \[128, 3, 4, 4\]"):
        emotion_swin(official_state(SMALL, SMALL_IMAGES))


def test_index_and_mask_by_hand():
    """Offsets of the window's corners, and which of 14 x 14 patches stay apart after a roll by 3."""
    index = relative_position_index()
    assert (index[0, 0], index[0, 48], index[48, 0], index[0, 1]) == (84, 0, 168, 83)
    mask = region_mask((14, 14), 3)
    assert not mask[0].any(), "the first window was not cut by the roll"
    first, below = 0, 4 * 7
    assert mask[2, first, below] == -100 and mask[1, first, below] == 0
    assert (mask[3] == 0).sum() == 16**2 + 9**2 + 2 * 12**2
