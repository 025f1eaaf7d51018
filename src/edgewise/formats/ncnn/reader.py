"""ncnn: from the list of layers to a graph.

ncnn's values have no batch axis: 1 dimension is (w), 2 are (h, w), 3 (c, h, w), 4 (c, d, h, w).
Here each has a leading axis of 1, so that axes count as elsewhere; `--shape` takes it too.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from edgewise.archive import File
from edgewise.errors import RejectedModel
from edgewise.formats import ncnn
from edgewise.formats.ncnn.binfile import TAGS, BinFile
from edgewise.formats.ncnn.context import Context
from edgewise.formats.ncnn.ops import translate
from edgewise.formats.ncnn.params import Entry, parse
from edgewise.formats.netlist import Netlist
from edgewise.formats.siblings import expected, find
from edgewise.graph import Graph

_CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")


def read(file: File) -> Graph:
    """See `contract.Format`. Of the weights only where each starts is read.

    Raises:
        RejectedModel: it is no valid list of layers; says where it breaks.
        LimitExceeded: it lists more layers than any real network has.
    """
    entries = parse(file.data())
    stem = stem_of(file.name)
    builder = Netlist(PurePosixPath(stem).name, ncnn.NAME)
    weights = find(file, ncnn.SIBLINGS) or find(file, ncnn.SIBLINGS, lambda f: _fits(f, entries))
    name = expected(file, ncnn.SIBLINGS) if weights is None else weights.name
    builder.graph.companions = (name,)
    builder.graph.missing = (name,) if weights is None else ()
    context = Context(builder, BinFile(builder, file, weights, name))
    reversed_inputs = _reversed_inputs(entries)
    for entry in entries:
        if entry.type == "Input":
            _input(builder, entry, entry.name in reversed_inputs)
        else:
            _check_read(builder, entry)
            translate(context, entry)
    context.bin.close()
    if context.left_over:
        builder.graph.notes.append(
            f"{', '.join(sorted(context.left_over))}: left over by pnnx, ncnn does not load this "
            "file; taken as data movement"
        )
    return builder.finish()


def _fits(other: File, entries: list[Entry]) -> bool:
    """Whether a file holds what these layers need, neither more nor less."""
    if int.from_bytes(other.head(4), "little") not in TAGS or other.size % 4:
        return False
    trial = Netlist("", ncnn.NAME)
    context = Context(trial, BinFile(trial, other, other, other.name))
    try:
        for entry in entries:
            if entry.type != "Input":
                translate(context, entry)
    except RejectedModel:
        return False
    return context.bin.is_used_up()


def stem_of(name: str) -> str:
    """What a file is called without its ending: `x` of `x.param` and of `x.param.bin`."""
    lower = name.lower()
    for ending in (".param.bin", ".param", ".bin"):
        if lower.endswith(ending):
            return name[: -len(ending)]
    return name


def _check_read(builder: Netlist, entry: Entry) -> None:
    for name in entry.inputs:
        if not builder.known(name):
            raise RejectedModel(f"{entry.type} {entry.name}: nothing makes its input {name!r}")


def _input(builder: Netlist, entry: Entry, reverse: bool) -> None:
    w, h, d, c = (entry.integer(number) for number in (0, 1, 11, 2))
    stated = [size for size in (c, d, h, w) if size]
    if any(size < 0 for size in stated):
        raise RejectedModel(f"Input {entry.name}: sizes {stated}")
    if reverse:
        stated.reverse()
        builder.graph.notes.append(
            f"{entry.name}: its sizes stand in the order c, h, w: its weights say"
        )
    for name in entry.outputs:
        builder.input(name, "float32", (1, *stated) if stated else None)


def _reversed_inputs(entries: list[Entry]) -> set[str]:
    """Inputs whose sizes early converters wrote as c, h, w: the first convolution tells."""
    found = set()
    for entry in entries:
        if entry.type != "Input":
            continue
        w, h, c = entry.integer(0), entry.integer(1), entry.integer(2)
        if entry.integer(11) or not (w and h and c) or w == c:
            continue
        names = set(entry.outputs)
        for later in entries:
            if not names & set(later.inputs):
                continue
            if later.type == "Split":
                names |= set(later.outputs)
            elif later.type in _CONVOLUTIONS and _channels(later) == w:
                found.add(entry.name)
                break
            else:
                break
    return found


def _channels(entry: Entry) -> int:
    """Channels that a convolution's weights read."""
    kernel = entry.integer(1) * entry.integer(11, entry.integer(1))
    size, out = entry.integer(6), entry.integer(0)
    groups = entry.integer(7, 1) if entry.type == "ConvolutionDepthWise" else 1
    return size * groups // (kernel * out) if kernel > 0 and out > 0 else 0
