"""Checkpoints that `torch.save` wrote, read without PyTorch."""

import os
from typing import Any

from emoca_jax.errors import InputError
from emoca_jax.safe_files.budget import Budget
from emoca_jax.safe_files.mapped_files import MappedFile, map_file
from emoca_jax.safe_files.pickle_machine import Machine
from emoca_jax.safe_files.refusal import Damage, damaged, reading
from emoca_jax.safe_files.torch_legacy import is_legacy, is_tar, read_legacy, read_tar
from emoca_jax.safe_files.torch_tensors import Storage, storage_of
from emoca_jax.safe_files.unpickle import NAMES, checked_tree
from emoca_jax.safe_files.zip_files import Member, is_zip, read_directory, read_member


def read_torch(path: str | os.PathLike[str], *, check: bool = True) -> Any:
    """What a PyTorch checkpoint holds, tensors as read-only NumPy arrays; zip, legacy and tar formats.

    Arrays lie in the mapped file, so that nothing is read before it is used; those that share a storage share memory.
    bfloat16 becomes float32, 8-bit floats float16 and complex32 complex64 (copies, exact); bools and tensors of
    foreign byte order are copied too. `check` compares the checksums of a zip file's members, if it has any,
    which reads the file once. Errors: InputError for anything else, damaged or hostile.
    """
    file = map_file(path)
    with reading(file.place):
        if is_zip(file.view):
            value = _read_zip(file, check=check)
        elif is_legacy(file.view):
            value = read_legacy(file.view, file.place, NAMES, Budget(len(file.view)))
        elif is_tar(file.view):
            value = read_tar(file.view, file.place, NAMES, Budget(len(file.view)))
        else:
            raise InputError(f"{file.place} is not a PyTorch checkpoint: give a file that torch.save wrote.")
        return checked_tree(_bare(value, file), file.place)


def _bare(value: Any, file: MappedFile) -> Any:
    """A file may hold one storage and nothing else: it becomes the vector of its values."""
    if not isinstance(value, Storage):
        return value
    machine = Machine(file.view, place=file.place, names=NAMES, budget=Budget(len(file.view)))
    return value.values(machine, value.kind)


def _read_zip(file: MappedFile, *, check: bool) -> Any:
    place = file.place
    members = read_directory(file)
    roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise InputError(f"{place} is a zip archive but not a PyTorch checkpoint: give a file that torch.save wrote.")
    root = roots[0]
    if f"{root}/constants.pkl" in members:
        raise InputError(f"{place} is a TorchScript program, not a checkpoint: save the model's state_dict instead.")
    order = _byte_order(file, members.get(f"{root}/byteorder"))
    budget = Budget(len(file.view))
    raws: dict[str, memoryview] = {}
    storages: dict[tuple[str, str], Storage] = {}

    def find(identity: Any) -> Storage:
        word, kind, key, _, count = identity
        if word != "storage" or not isinstance(key, str):
            raise Damage("it refers to something that is no storage")
        outline = storage_of(place, kind, count, None)
        if (key, outline.kind) not in storages:
            member = members.get(f"{root}/data/{key}")
            if member is None:
                raise damaged(place, "a tensor's data are missing")
            if key not in raws:
                raws[key] = read_member(file, member, check=check)
            storages[key, outline.kind] = storage_of(place, kind, count, raws[key], big_endian=order == "big")
        return storages[key, outline.kind]

    content = read_member(file, members[f"{root}/data.pkl"], check=check)
    return Machine(content, place=place, names=NAMES, budget=budget, persistent_load=find).run()


def _byte_order(file: MappedFile, member: Member | None) -> str:
    """What the archive says about its numbers; before PyTorch 2.1 it said nothing and they were little-endian."""
    if member is None:
        return "little"
    order = bytes(read_member(file, member)[:8]).decode("ascii")
    if order not in ("little", "big"):
        raise damaged(file.place, "it names an unknown byte order")
    return order
