"""What XLA hands over at a call (xla/ffi/api/c_api.h, major version 0), read by address in code that numba compiles.

Only fields that have kept their places from jaxlib 0.7.2 (minor version 1) to 0.12 (minor version 5) are read.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from emoca_jax.render.backends.native.dialect import intrinsic, kernel

SCALARS = {"i32": (types.int32, ir.IntType(32)), "i64": (types.int64, ir.IntType(64)),
           "f32": (types.float32, ir.FloatType())}  # fmt: skip
# Offsets in XLA_FFI_CallFrame: the API's functions, the context, the lists of arguments, results and attributes.
EXTENSION, API, CONTEXT, ARGUMENTS, RESULTS, ATTRIBUTES = 8, 16, 24, 40, 80, 120
LIST_LENGTH, LIST_ITEMS, ATTRIBUTE_ITEMS = 16, 32, 40
BUFFER_DATA, BUFFER_RANK, BUFFER_SHAPE = 24, 32, 40
SCALAR_VALUE = 8
# In XLA_FFI_Api.
API_MAJOR, API_MINOR, DESTROY_ERROR, SCHEDULE, COUNT_THREADS = 32, 36, 64, 136, 144
# In XLA_FFI_Metadata_Extension and XLA_FFI_Metadata.
METADATA_KIND, METADATA, VERSION_MAJOR, VERSION_MINOR, TRAITS = 8, 24, 24, 28, 32


def _reader(kind: str):
    number, llvm_type = SCALARS[kind]

    @intrinsic
    def load(typing_context, address):
        def generate(context, builder, signature, arguments):
            return builder.load(builder.inttoptr(arguments[0], llvm_type.as_pointer()))

        return number(types.int64), generate

    return load


def _writer(kind: str):
    number, llvm_type = SCALARS[kind]

    @intrinsic
    def store(typing_context, address, value):
        def generate(context, builder, signature, arguments):
            builder.store(arguments[1], builder.inttoptr(arguments[0], llvm_type.as_pointer()))
            return context.get_dummy_value()

        return types.void(types.int64, number), generate

    return store


load_i32, load_i64, load_f32 = (_reader(kind) for kind in ("i32", "i64", "f32"))
store_i32, store_i64 = (_writer(kind) for kind in ("i32", "i64"))


def _array(kind: str):
    number, llvm_type = SCALARS[kind]

    @intrinsic
    def array(typing_context, address):
        """The numbers from an address on, to read and write by index."""

        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], llvm_type.as_pointer())

        return types.CPointer(number)(types.int64), generate

    return array


float_array, integer_array, long_array = _array("f32"), _array("i32"), _array("i64")


LANES = 8
"""Numbers that are computed side by side."""


def lanes_of(rows: int):
    """What makes room for so many times LANES numbers."""

    @intrinsic
    def room(typing_context):
        """Room of which the compiler knows that nothing else points to it: a loop that writes nowhere else it does all
        at once, where for other memory it would have to find out first and mostly lets it be."""

        def generate(context, builder, signature, arguments):
            numbers = cgutils.alloca_once(builder, ir.ArrayType(ir.FloatType(), rows * LANES))
            return builder.bitcast(numbers, ir.FloatType().as_pointer())

        return types.CPointer(types.float32)(), generate

    return room


lanes = lanes_of(1)


@intrinsic
def call(typing_context, function, argument):
    """A C function at an address, from address to address."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64)])
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [arguments[1]])

    return types.int64(types.int64, types.int64), generate


@intrinsic
def atomic_add(typing_context, address, value):
    """What lay at the address before `value` was added to it."""

    def generate(context, builder, signature, arguments):
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def fma(typing_context, a, b, c):
    """a b + c, rounded once."""

    def generate(context, builder, signature, arguments):
        real = ir.FloatType()
        name = "llvm.fma.f32"
        module = builder.module
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(real, [real] * 3), name)
        return builder.call(function, arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@kernel
def argument(frame, number):
    """Address of an argument's buffer."""
    return load_i64(load_i64(frame + ARGUMENTS + LIST_ITEMS) + 8 * number)


@kernel
def result(frame, number):
    """Address of a result's buffer."""
    return load_i64(load_i64(frame + RESULTS + LIST_ITEMS) + 8 * number)


@kernel
def attribute(frame, number):
    """Address of a scalar attribute's value; attributes come in the order of their names."""
    return load_i64(load_i64(load_i64(frame + ATTRIBUTES + ATTRIBUTE_ITEMS) + 8 * number) + SCALAR_VALUE)


@kernel
def rank(buffer):
    return load_i64(buffer + BUFFER_RANK)


@kernel
def extent(buffer, axis):
    """Length of an axis; negative numbers count from the last."""
    if axis < 0:
        axis += rank(buffer)
    return load_i64(load_i64(buffer + BUFFER_SHAPE) + 8 * axis)


@kernel
def lead(buffer, own):
    """Number of items of a buffer whose last `own` axes belong to one item."""
    count = 1
    for axis in range(rank(buffer) - own):
        count *= extent(buffer, axis)
    return count


@kernel
def item_of(buffer, own, whole, whole_own, item):
    """Which item of `buffer` belongs to item `item` of `whole`: leading axes match or are 1, as `vmap` leaves them."""
    axes = rank(buffer) - own
    if axes != rank(whole) - whole_own:
        return 0
    found, step = 0, 1
    for axis in range(axes - 1, -1, -1):
        length = extent(whole, axis)
        place = item % length
        item //= length
        if extent(buffer, axis) > 1:
            found += place * step
        step *= extent(buffer, axis)
    return found


@kernel
def start_of(buffer, own, item):
    """Address of an item of a buffer whose numbers take four bytes and whose last `own` axes belong to one item."""
    size = 4 * item
    for axis in range(rank(buffer) - own, rank(buffer)):
        size *= extent(buffer, axis)
    return load_i64(buffer + BUFFER_DATA) + size


@kernel
def longs(buffer, own, item):
    """An item of a buffer of pairs of int32, each pair one number of 64 bits."""
    return long_array(start_of(buffer, own, item))


@kernel
def floats(buffer, own, item):
    """An item of a float32 buffer."""
    return float_array(start_of(buffer, own, item))


@kernel
def integers(buffer, own, item):
    """An item of an int32 buffer."""
    return integer_array(start_of(buffer, own, item))
