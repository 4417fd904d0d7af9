"""A call's work shared between the thread that XLA calls on and the threads of XLA's own pool.

Whoever is free takes the next item. The calling thread never waits for a helper that has not begun, only for items that
a running one has taken: however many calls there are at once, and however few threads, none waits for another.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

from emoca_jax.render.backends.kernels.call_frame import (
    API,
    API_MAJOR,
    API_MINOR,
    CONTEXT,
    COUNT_THREADS,
    DESTROY_ERROR,
    EXTENSION,
    METADATA,
    METADATA_KIND,
    SCHEDULE,
    TRAITS,
    VERSION_MAJOR,
    VERSION_MINOR,
    atomic_add,
    call,
    load_i32,
    load_i64,
    store_i32,
    store_i64,
)  # fmt: skip
from emoca_jax.render.backends.native.dialect import intrinsic, kernel

# The block that the threads of a call share: the next item, how many there are, how many are done, who still looks at
# the block, whose call it is, which stage.
NEXT, ITEMS, DONE, HOLDERS, FRAME, STAGE, BLOCK = 0, 8, 16, 24, 32, 40, 48


def external(name: str, arguments: int):
    """A C function of the process, by name: address-sized numbers in, one out."""
    word = ir.IntType(64)

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(word, [word] * arguments)
        module = builder.module
        return builder.call(module.globals.get(name) or ir.Function(module, kind, name), values)

    signature = types.int64(*[types.int64] * arguments)
    if arguments:
        return intrinsic(lambda typing_context, a: (signature, generate))
    return intrinsic(lambda typing_context: (signature, generate))


def address_of(name: str):
    """Where the compiled function `name` lies."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64)])
        module = builder.module
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return builder.ptrtoint(function, ir.IntType(64))

    return intrinsic(lambda typing_context: (types.int64(), generate))


allocate, free, yield_processor = external("malloc", 1), external("free", 1), external("sched_yield", 0)


@kernel
def threads_of(frame, scratch):
    """How many threads XLA has for this call."""
    store_i64(scratch, 32)
    store_i64(scratch + 8, 0)
    store_i64(scratch + 16, load_i64(frame + CONTEXT))
    store_i64(scratch + 24, scratch + 32)
    error = call(load_i64(load_i64(frame + API) + COUNT_THREADS), scratch)
    if error != 0:
        destroy(frame, error, scratch)
        return 1
    return load_i64(scratch + 32)


@kernel
def destroy(frame, error, scratch):
    store_i64(scratch, 24)
    store_i64(scratch + 8, 0)
    store_i64(scratch + 16, error)
    call(load_i64(load_i64(frame + API) + DESTROY_ERROR), scratch)


@kernel
def schedule(frame, task, block, scratch):
    """Whether XLA has taken the task."""
    store_i64(scratch, 40)
    store_i64(scratch + 8, 0)
    store_i64(scratch + 16, load_i64(frame + CONTEXT))
    store_i64(scratch + 24, task)
    store_i64(scratch + 32, block)
    error = call(load_i64(load_i64(frame + API) + SCHEDULE), scratch)
    if error != 0:
        destroy(frame, error, scratch)
    return error == 0


@kernel
def release(block):
    if atomic_add(block + HOLDERS, -1) == 1:
        free(block)


@kernel
def tells_version(frame):
    """Whether this is no call but XLA asking for the version, which is answered: that of XLA itself, since what is read
    here has stayed in its place."""
    extension = load_i64(frame + EXTENSION)
    if extension == 0 or load_i32(extension + METADATA_KIND) != 1:
        return False
    metadata, api = load_i64(extension + METADATA), load_i64(frame + API)
    store_i32(metadata + VERSION_MAJOR, load_i32(api + API_MAJOR))
    store_i32(metadata + VERSION_MINOR, load_i32(api + API_MINOR))
    store_i32(metadata + TRAITS, 0)
    return True


def entries(name: str, stages: int, items, work):
    """The two functions of a kernel, `NAME_task` for helpers and `NAME` for XLA, from address to address.

    stages: one begins when the one before is done. items(frame, stage): how many items it has.
    work(frame, stage, item): does one.
    """

    @kernel
    def task(block):
        frame, stage, count = load_i64(block + FRAME), load_i64(block + STAGE), load_i64(block + ITEMS)
        while True:
            item = atomic_add(block + NEXT, 1)
            if item >= count:
                break
            work(frame, stage, item)
            atomic_add(block + DONE, 1)
        release(block)
        return 0

    task_address = address_of(f"{name}_task")

    @kernel
    def handler(frame):
        if tells_version(frame):
            return 0
        scratch = allocate(64)
        threads = threads_of(frame, scratch)
        for stage in range(stages):
            count = items(frame, stage)
            if count == 0:
                continue
            helpers = min(threads, count) - 1
            block = allocate(BLOCK)
            store_i64(block + NEXT, 0)
            store_i64(block + ITEMS, count)
            store_i64(block + DONE, 0)
            store_i64(block + HOLDERS, 2 + helpers)
            store_i64(block + FRAME, frame)
            store_i64(block + STAGE, stage)
            for _ in range(helpers):
                if not schedule(frame, task_address(), block, scratch):
                    release(block)
            call(task_address(), block)
            while atomic_add(block + DONE, 0) < count:
                yield_processor()
            release(block)
        free(scratch)
        return 0

    return {f"{name}_task": task, name: handler}
