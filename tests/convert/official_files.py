"""Made-up official files on disk, under names that say nothing: what a user's download folder may look like."""

import shutil
from pathlib import Path

import numpy as np

from tests import reference_weights
from tests.flame.made_up_flame import landmark_tables, made_up_head, official_arrays, reference_module
from tests.shared_data import shared_path

# Name here -> name in the reference's assets.
PLAIN = {
    "mesh.txt": "head_template.obj",
    "points.bin": "landmark_embedding.npy",
    "more_points.bin": "mediapipe_landmark_embedding.npz",
    "offsets.bin": "fixed_displacement_256.npy",
    "one.bin": "uv_face_mask.png",
    "two.bin": "uv_face_eye_mask.png",
}


def write_flame(path: Path, *, chumpy: bool = True) -> Path:
    """The made-up FLAME, wrapped as its official pickle is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    reference_module().write_flame(official_arrays(), str(path), chumpy)
    return path


def write_plain(folder: Path, *names: str) -> None:
    """Copies of the public files, all or those named as here."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or PLAIN:
        shutil.copyfile(shared_path(f"reference/assets/{PLAIN[name]}"), folder / name)


def emoca_state(outputs: int = 53, *, buffers: bool = True) -> dict[str, np.ndarray]:
    """An EMOCA checkpoint's state dictionary: three encoders on one trunk, which keeps the file small."""
    trunk = reference_weights.flame_encoder()
    draw = np.random.default_rng(7)
    state = {}
    for name, numbers in (("E_flame", 236), ("E_expression", outputs), ("E_detail", 128)):
        head = {
            "layers.2.weight": draw.normal(0, 0.1, (numbers, 1024)).astype(np.float32),
            "layers.2.bias": draw.normal(0, 0.1, numbers).astype(np.float32),
        }
        state |= {f"deca.{name}.{key}": value for key, value in (trunk | head).items()}
    state |= {f"deca.D_detail.{key}": value for key, value in reference_weights.detail_decoder("emoca").items()}
    state["deca.id_loss.conv1.weight"] = np.zeros((4, 3), np.float32)
    return state | (_buffers() if buffers else {})


def _buffers() -> dict[str, np.ndarray]:
    head, tables = made_up_head(), landmark_tables()
    flat = np.asarray(head.pose_dirs).transpose(2, 0, 1).reshape(36, -1)
    buffers = {
        "v_template": head.template,
        "shapedirs": np.concatenate([head.shape_dirs, head.expression_dirs], axis=2),
        "posedirs": flat,
        "J_regressor": head.joint_regressor,
        "lbs_weights": head.skin_weights,
        "faces_tensor": np.asarray(head.faces, np.int64),
        "eye_pose": np.zeros((1, 6), np.float32),
        "lmk_faces_idx": tables["static_lmk_faces_idx"],
        "lmk_bary_coords": tables["static_lmk_bary_coords"].astype(np.float32),
        **{name: tables[name] for name in tables if name.startswith(("dynamic_", "full_"))},
    }
    return {f"deca.flame.{key}": np.asarray(value) for key, value in buffers.items()} | {
        "deca.render.raw_uvcoords": np.asarray(head.uv)[None],
        "deca.render.uvfaces": np.asarray(head.uv_faces, np.int64)[None],
        "deca.render.constant_factor": np.ones(9, np.float32),
        "deca.fixed_uv_dis": np.load(shared_path("reference/assets/fixed_displacement_256.npy")).astype(np.float32),
        "deca.uv_face_eye_mask": np.full((1, 1, 256, 256), 0.25, np.float32),
    }


def write_checkpoint(path: Path, state: dict[str, np.ndarray]) -> Path:
    """A Lightning checkpoint, written by PyTorch; equal arrays are kept once."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    shared = {id(value): torch.from_numpy(np.array(value)) for value in state.values()}
    tensors = {key: shared[id(value)] for key, value in state.items()}
    torch.save({"epoch": 3, "optimizer_states": [], "hyper_parameters": {}, "state_dict": tensors}, path)
    return path


def write_deca(path: Path, state: dict[str, np.ndarray]) -> Path:
    """DECA's weights file, with the networks of an EMOCA state dictionary."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    networks = {name: {} for name in ("E_flame", "E_detail", "D_detail")}
    shared = {id(value): torch.from_numpy(np.array(value)) for value in state.values()}
    for key, value in state.items():
        name, _, rest = key.removeprefix("deca.").partition(".")
        if name in networks:
            networks[name][rest] = shared[id(value)]
    torch.save(networks, path)
    return path


def write_run(folder: Path, state: dict[str, np.ndarray], *, jaw: bool) -> Path:
    """A run folder: the best of three checkpoints is real, the others only have names."""
    checkpoints = folder / "detail/checkpoints"
    best = write_checkpoint(checkpoints / "deca-epoch=03-val_loss/dataloader_idx_0=3.5.ckpt", state)
    (checkpoints / "deca-epoch=01-val_loss").mkdir()
    (checkpoints / "deca-epoch=01-val_loss/dataloader_idx_0=12.25.ckpt").write_bytes(b"never read")
    (checkpoints / "last.ckpt").write_bytes(b"never read")
    (folder / "coarse/checkpoints").mkdir(parents=True)
    (folder / "coarse/checkpoints/deca-epoch=00-val_loss=0.5.ckpt").write_bytes(b"never read")
    model = f"{{exp_deca_jaw_pose: {str(jaw).lower()}, tex_type: BFM, path: !!python/object/apply:os.getcwd []}}"
    (folder / "cfg.yaml").write_text(f"coarse: {{model: {model}}}\ndetail: {{model: {model}}}\n")
    return best


def flame_with(**changes):
    """`generic_model.pkl` as a table with some entries changed, or left out where None."""
    model = dict(official_arrays()) | changes
    return {key: value for key, value in model.items() if value is not None}
