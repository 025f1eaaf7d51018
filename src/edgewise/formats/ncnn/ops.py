"""What each ncnn layer is in common words. Parameter numbers are those of ncnn's documentation
(`docs/developer-guide/operators.md`), the order of weights that of its layers' `load_model`.

One table with the rules that it names; layers that multiply and accumulate are in `compute.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.ncnn.compute import COMPUTE
from edgewise.formats.ncnn.context import ABSENT, Context, Translator
from edgewise.formats.ncnn.names import ACTIVATIONS, ORDERS, UNARY_OPS
from edgewise.formats.ncnn.params import TYPES, Entry
from edgewise.formats.netlist import Operand
from edgewise.graph import Kind

#: The end of an axis in a slice.
FAR = 2**31 - 1


def translate(context: Context, entry: Entry) -> None:
    """Add a layer to the graph, its weights taken in the file's order."""
    rule = COMPUTE.get(entry.type) or RULES.get(entry.type)
    if rule is not None:
        rule(context, entry)
    elif entry.type in _LEFT_OVER or entry.type in TYPES or _moves_only(entry.type):
        if entry.type not in TYPES:
            context.left_over.add(entry.type)
        _LEFT_OVER.get(entry.type, plain(Kind.POSTPROCESS))(context, entry)
    else:
        context.bin.skip_unknown(entry.type)
        context.add(entry, Kind.UNKNOWN)


def _moves_only(kind: str) -> bool:
    """Whether it is a function of torch's that pnnx left, without weights or products."""
    space, _, name = kind.partition(".")
    return space in ("Tensor", "torch", "F") and not any(part in name for part in _PRODUCTS)


#: Parts of the names of torch's functions that multiply and accumulate.
_PRODUCTS = (
    "conv", "linear", "mm", "mv", "matmul", "dot", "einsum", "attention", "kron", "outer", "inner",
    "cdist", "prod_",
)  # fmt: skip


def axis(number: int) -> int:
    """An axis of ncnn's, which knows no batch."""
    return number + 1 if number >= 0 else number


def axes(entry: Entry, number: int) -> tuple[int, ...] | None:
    """Axes that an array gives."""
    given = entry.array(number)
    return None if given is None else tuple(axis(one) for one in given)


def plain(kind: Kind, **attributes: Any) -> Translator:
    """A layer without weights and with fixed attributes."""
    return lambda context, entry: context.add(entry, kind, **attributes)


def _with_axis(kind: Kind) -> Translator:
    return lambda context, entry: context.add(entry, kind, axis=axis(entry.integer(0)))


def _raw(kind: Kind, *sizes: int, **attributes: Any) -> Translator:
    """A layer with float32 vectors whose lengths are these parameters."""

    def add(context: Context, entry: Entry) -> None:
        lengths = [entry.integer(number) for number in sizes]
        taken = [context.raw(entry, f"data{at}", n) for at, n in enumerate(lengths) if n > 0]
        context.add(entry, kind, *taken, **attributes)

    return add


def _affine(function: str, size: int, flag: int, parts: int) -> Translator:
    """A normalisation with `parts` vectors of parameter `size`, where parameter `flag` is set."""

    def add(context: Context, entry: Entry) -> None:
        taken = []
        if flag < 0 or entry.integer(flag, 1):
            taken = [context.raw(entry, f"data{at}", entry.integer(size)) for at in range(parts)]
        context.add(entry, Kind.NORMALISE, *taken, function=function)

    return add


def _scale(context: Context, entry: Entry) -> None:
    size = entry.integer(0)
    taken = [] if size == ABSENT else [context.raw(entry, "scale", size)]
    if entry.integer(1):
        if size == ABSENT:
            raise RejectedModel(f"Scale {entry.name}: a bias of unknown size")
        taken.append(context.raw(entry, "bias", size))
    # A vector counts along the first axis, whatever numpy would do.
    context.add(entry, Kind.BINARY, *taken, function="mul", like_first=True)


def _binary(context: Context, entry: Entry) -> None:
    names = ("add", "sub", "mul", "div", "max", "min", "pow", "sub", "div", "pow", "atan2", "atan2")
    number = entry.integer(0)
    function = names[number] if 0 <= number < len(names) else "add"
    kind = Kind.UNARY if entry.integer(1) or len(entry.inputs) < 2 else Kind.BINARY
    context.add(entry, kind, function=function, loose=True)


def _split(context: Context, entry: Entry) -> None:
    """One value under several names."""
    reads = entry.inputs[:1] * len(entry.outputs)
    context.builder.layer(entry.name, entry.type, Kind.IDENTITY, reads, entry.outputs)


def _slice(context: Context, entry: Entry) -> None:
    parts, along = len(entry.outputs), axis(entry.integer(1))
    sizes, cuts = entry.array(0), entry.array(2)
    if cuts:
        sizes = (*(b - a for a, b in pairwise((0, *cuts))), -1)
    given: tuple[int, ...] | None = tuple(-1 if s == ABSENT else s for s in sizes or ())
    if given is not None and (len(given) != parts or given.count(-1) > 1):
        given = None
    context.add(entry, Kind.SPLIT, axis=along, sizes=given)


def _reduction(context: Context, entry: Entry) -> None:
    names = ("sum", "l1", "sum_square", "mean", "max", "min", "prod", "l1", "l2", "log_sum")
    number = entry.integer(0)
    context.add(
        entry,
        Kind.REDUCE,
        function=names[number] if 0 <= number < len(names) else "log_sum_exp",
        axes=None if entry.integer(1, 1) else axes(entry, 3),
        keep_dims=bool(entry.integer(4)),
    )


def _reshape(context: Context, entry: Entry) -> None:
    stated = [entry.integer(number, ABSENT) for number in (2, 11, 1, 0)]
    said = entry.parameters.get(6)
    if said is not None:
        _reshape_by_text(context, entry, str(said))
        return
    context.add(
        entry, Kind.RESHAPE, shape=(1, *(s for s in stated if s != ABSENT)), zero_copies=True
    )


_AXES = {2: "hw", 3: "chw", 4: "cdhw"}
#: Axes by ncnn's letters, counted from the end, but for the channels.
_LETTERS = {"w": -1, "h": -2, "d": -3, "c": 1}


def _reshape_by_text(context: Context, entry: Entry, text: str) -> None:
    """Sizes innermost first: numbers, or an axis of an input such as `1h`."""
    sizes: list[int | tuple[int, int]] = []
    for word in text.split(","):
        if word.lstrip("-").isdigit() and len(word) < 12:
            sizes.append(int(word))
        elif len(word) == 2 and word[0].isdigit() and word[1] in _LETTERS:
            sizes.append((int(word[0]), _LETTERS[word[1]]))
        else:
            context.add(entry, Kind.DATA_DEPENDENT)
            return
    context.add(entry, Kind.RESHAPE, sizes=(1, *reversed(sizes)))


def _permute(context: Context, entry: Entry) -> None:
    number = entry.integer(0)
    by_rank = {
        rank + 1: (0, *(_AXES[rank].index(letter) + 1 for letter in reversed(orders[number])))
        for rank, orders in ORDERS.items()
        if 0 <= number < len(orders)
    }
    context.add(entry, Kind.TRANSPOSE, by_rank=by_rank)


def _crop(context: Context, entry: Entry) -> None:
    starts, ends, along = entry.array(9), entry.array(10), axes(entry, 11)
    if any(isinstance(entry.parameters.get(number), str) for number in (19, 20, 21)):
        context.add(entry, Kind.DATA_DEPENDENT)
    elif len(entry.inputs) > 1:
        context.add(entry, Kind.GATHER_ELEMENTS)
    elif starts is not None and ends is not None:
        begin = tuple(0 if start == ABSENT else start for start in starts)
        end = tuple(FAR if stop in (ABSENT, 0) else stop for stop in ends)
        along = along or tuple(range(1, len(begin) + 1))
        context.add(entry, Kind.STRIDED_SLICE, onnx=True, begin=begin, end=end, axes=along)
    else:
        _crop_by_offsets(context, entry)


def _crop_by_offsets(context: Context, entry: Entry) -> None:
    """Offsets, sizes and far offsets per axis: w, h, then c, which with a depth is one further."""
    deep = bool(entry.integer(13) or entry.integer(14) or entry.integer(15))
    numbers = [(0, 3, 6, -1), (1, 4, 7, -2), (2, 5, 8, -4 if deep else -3)]
    if deep:
        numbers.append((13, 14, 15, -3))
    begin, end, along = [], [], []
    for offset, size, far, place in numbers:
        start, length, rest = (
            entry.integer(offset), entry.integer(size, ABSENT), entry.integer(far),
        )  # fmt: skip
        length = ABSENT if length == 0 else length
        if start == 0 and length == ABSENT and rest == 0:
            continue
        begin.append(start)
        end.append(start + length if length != ABSENT else -rest or FAR)
        along.append(place)
    context.add(
        entry, Kind.STRIDED_SLICE, onnx=True, begin=tuple(begin), end=tuple(end), axes=tuple(along)
    )


def _flagged_axes(kind: Kind) -> Translator:
    """Axes given as an array, or by a flag each for w, h, d, c."""

    def add(context: Context, entry: Entry) -> None:
        along = axes(entry, 3)
        if along is None:
            flags = ((0, -1), (1, -2), (11, -3), (2, -4 if entry.integer(11) else -3))
            along = tuple(place for number, place in flags if entry.integer(number))
        if along:
            context.add(entry, kind, axes=along)
        else:
            context.add(entry, Kind.IDENTITY)

    return add


def _padding(context: Context, entry: Entry) -> None:
    taken = []
    if entry.integer(6):
        taken.append(context.raw(entry, "value", entry.integer(6)))
    top, bottom, left, right = (entry.integer(number) for number in range(4))
    front, behind = entry.integer(7), entry.integer(8)
    if left in (ABSENT, ABSENT - 1) or len(entry.inputs) > 1:
        context.add(entry, Kind.DATA_DEPENDENT, *taken)
        return
    every = ((-1, left, right), (-2, top, bottom), (-3, front, behind))
    used = [one for one in every if one[1] or one[2]]
    inputs = (*entry.inputs, None, *taken)
    context.builder.layer(
        entry.name, entry.type, Kind.PAD, inputs, entry.outputs, order="begin_end",
        axes=tuple(place for place, _, _ in used),
        pads=tuple(low for _, low, _ in used) + tuple(high for _, _, high in used),
    )  # fmt: skip


def _interp(context: Context, entry: Entry) -> None:
    scales = (entry.real(1, 1.0), entry.real(2, 1.0))
    sizes = (entry.integer(3), entry.integer(4))
    if isinstance(entry.parameters.get(9), str):
        context.add(entry, Kind.DATA_DEPENDENT)
    elif len(entry.inputs) > 1 or entry.integer(5):
        context.add(entry, Kind.RESIZE, layout="channels_first", like=1)
    elif all(sizes):
        context.add(entry, Kind.RESIZE, layout="channels_first", sizes=sizes)
    else:
        context.add(entry, Kind.RESIZE, layout="channels_first", scales=scales)


def _tile(context: Context, entry: Entry) -> None:
    repeats, times = entry.array(2), entry.integer(1, 1)
    if repeats:
        context.add(entry, Kind.TILE, repeats=repeats)
    elif 0 < times <= 256:
        reads = entry.inputs[:1] * times
        along = axis(entry.integer(0))
        context.builder.layer(entry.name, entry.type, Kind.CONCAT, reads, entry.outputs, axis=along)
    else:
        context.add(entry, Kind.DATA_DEPENDENT)


def _memory(context: Context, entry: Entry) -> None:
    sizes = [entry.integer(number) for number in (2, 11, 1, 0)]
    shape = (1, *(size for size in sizes if size))
    stored = context.take(entry, "data", *shape, tagged=entry.integer(21, 1) == 0)
    context.builder.layer(entry.name, entry.type, Kind.IDENTITY, (stored,), entry.outputs)


def _embed(context: Context, entry: Entry) -> None:
    units, words = entry.integer(0), entry.integer(1)
    taken = [context.take(entry, "weight", words, units)]
    if entry.integer(2):
        taken.append(context.raw(entry, "bias", units))
    if entry.integer(18):
        context.raw(entry, "scale", 1)
    reads: list[Operand] = [taken[0], *entry.inputs, *taken[1:]]
    context.builder.layer(entry.name, entry.type, Kind.GATHER, reads, entry.outputs)


def _einsum(context: Context, entry: Entry) -> None:
    letters = entry.parameters.get(0)
    text = "".join(chr(int(c)) for c in letters) if isinstance(letters, tuple) else str(letters)
    left, arrow, right = text.partition("->")
    if not arrow:
        context.add(entry, Kind.UNKNOWN)
        return
    # Every operand has the batch axis that ncnn leaves out.
    terms = ",".join("Z" + term for term in left.split(","))
    context.add(entry, Kind.EINSUM, equation=f"{terms}->Z{right}")


def _roi(context: Context, entry: Entry) -> None:
    """One region at a time."""
    size = (entry.integer(1), entry.integer(0))
    context.builder.layer(
        entry.name, entry.type, Kind.RESIZE, entry.inputs[:1], entry.outputs,
        layout="channels_first", sizes=size,
    )  # fmt: skip


def _glu(context: Context, entry: Entry) -> None:
    outputs = (*entry.outputs[:1], None)
    context.builder.layer(
        entry.name, entry.type, Kind.SPLIT, entry.inputs, outputs,
        axis=axis(entry.integer(0)), activation="sigmoid",
    )  # fmt: skip


def _unary_op(context: Context, entry: Entry) -> None:
    number = entry.integer(0)
    name = UNARY_OPS[number] if 0 <= number < len(UNARY_OPS) else "unary"
    context.add(entry, Kind.UNARY, function=name)


RULES: dict[str, Translator] = {
    **{name: plain(Kind.UNARY, function=function) for name, function in ACTIVATIONS.items()},
    **dict.fromkeys(("Dropout", "Noop", "DeepCopy", "Packing", "Cast"), plain(Kind.IDENTITY)),
    **dict.fromkeys(("ShuffleChannel", "Flip"), plain(Kind.IDENTITY, exact=False)),
    "BatchNorm": _affine("batch", 0, -1, 4),
    "Bias": _raw(Kind.BINARY, 0, function="add", like_first=True),
    "BinaryOp": _binary,
    "Concat": _with_axis(Kind.CONCAT),
    "CopyTo": plain(Kind.SCATTER),
    "Crop": _crop,
    "CumulativeSum": plain(Kind.CUMULATIVE),
    "Dequantize": _raw(Kind.DEQUANTIZE, 0, 1),
    "Einsum": _einsum,
    "Eltwise": plain(Kind.BINARY, function="add", loose=True),
    "Embed": _embed,
    "ExpandDims": _flagged_axes(Kind.EXPAND_DIMS),
    "Flatten": plain(Kind.FLATTEN),
    "GLU": _glu,
    "GridSample": plain(Kind.GRID_SAMPLE),
    "GroupNorm": _affine("group", 1, 3, 2),
    "InstanceNorm": _affine("instance", 0, 2, 2),
    "Interp": _interp,
    "LRN": plain(Kind.NORMALISE, function="local_response"),
    "LayerNorm": _affine("layer", 0, 2, 2),
    "MVN": plain(Kind.NORMALISE, function="instance"),
    "MemoryData": _memory,
    "Normalize": _raw(Kind.NORMALISE, 3, function="l2"),
    "PReLU": _raw(Kind.BINARY, 0, function="prelu", like_first=True),
    "Padding": _padding,
    "Permute": _permute,
    "PixelShuffle": lambda context, entry: context.add(
        entry, Kind.DEPTH_TO_SPACE, block=entry.integer(0, 1), layout="channels_first"
    ),
    "Quantize": _raw(Kind.QUANTIZE, 0),
    "RMSNorm": _affine("rms", 0, 2, 1),
    "ROIAlign": _roi,
    "ROIPooling": _roi,
    "Reduction": _reduction,
    "Reorg": lambda context, entry: context.add(
        entry, Kind.SPACE_TO_DEPTH, block=entry.integer(0, 1), layout="channels_first"
    ),
    "Requantize": _raw(Kind.QUANTIZE, 0, 1, 2),
    "Reshape": _reshape,
    "Scale": _scale,
    "Slice": _slice,
    "Softmax": _with_axis(Kind.SOFTMAX),
    "Split": _split,
    "Squeeze": _flagged_axes(Kind.SQUEEZE),
    "Tile": _tile,
    "UnaryOp": _unary_op,
}

#: Operators of torch that pnnx leaves where it knows no layer of ncnn's; they move data only.
_LEFT_OVER: dict[str, Translator] = {
    **dict.fromkeys(
        ("Tensor.reshape", "Tensor.view", "Tensor.contiguous", "torch.clone", "Tensor.type_as",
         "Tensor.to"),
        plain(Kind.IDENTITY, exact=False),
    ),
    "torch.unbind": plain(Kind.UNSTACK, axis=1),
}  # fmt: skip
