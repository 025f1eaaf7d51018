"""Operators that reorder, cut and join, make tensors, and ask for sizes."""

from __future__ import annotations

from typing import Any

from edgewise.formats.aten.making import scalar_type
from edgewise.formats.aten.recorder import (
    Call,
    Entry,
    NotPlain,
    Parts,
    Ref,
    row,
)
from edgewise.formats.building import Meaning, function
from edgewise.formats.kit import integer
from edgewise.graph import Kind

_END = (1 << 63) - 1


def _copied(call: Call) -> Any:
    """An operator of its own that changes nothing, as ExecuTorch and scripts list it."""
    return call.emit(Meaning(Kind.IDENTITY), [call["self"]])


def _joined(kind: Kind) -> Entry:
    """Several values along an axis."""
    return "tensors dim", lambda call: call.emit(
        Meaning(kind, {"axis": call.integer("dim")}), call.list("tensors")
    )


def _to(call: Call) -> Any:
    """`to` in its forms: dtype, device and dtype, another tensor."""
    for value in call.arguments.values():
        dtype = scalar_type(value)
        if dtype is not None:
            return call.emit(Meaning(Kind.CAST, {"dtype": dtype}), [call["self"]], dtype=dtype)
    other = call["dtype"]
    if isinstance(other, Ref):
        dtype = call.recorder.seen(other).dtype
        return call.emit(Meaning(Kind.CAST, {"dtype": dtype}), [call["self"]], dtype=dtype)
    return _copied(call)


def _cast(dtype: str) -> Entry:
    return "self", lambda call: call.emit(
        Meaning(Kind.CAST, {"dtype": dtype}), [call["self"]], dtype=dtype
    )


def _reshape(call: Call) -> Any:
    if scalar_type(call["shape"]) is not None and not isinstance(call["shape"], (list, tuple)):
        return _to(call)  # view(dtype)
    attributes, sizes = call.sizes("shape")
    return call.emit(Meaning(Kind.RESHAPE, attributes), [call["self"], sizes])


def _reshape_as(call: Call) -> Any:
    shape = call.emit(Meaning(Kind.SHAPE), [call["other"]], dtype="int64", op="size")
    return call.emit(Meaning(Kind.RESHAPE), [call["self"], shape])


def _unflatten(call: Call) -> Any:
    attributes, sizes = call.sizes("sizes")
    attributes["axis"] = call.integer("dim")
    return call.emit(Meaning(Kind.RESHAPE, attributes), [call["self"], sizes])


def _squeeze(call: Call) -> Any:
    attributes: dict[str, Any] = {"only_ones": True}
    if call.given("dim"):
        attributes["axes"] = call.integers("dim")
    return call.emit(Meaning(Kind.SQUEEZE, attributes), [call["self"]])


def _parts(call: Call, meaning: Meaning, count: int | None) -> Any:
    if count is None:
        count = call.outputs
    if count is None:
        return Parts(call, meaning, call["self"])
    made = call.emit(meaning, [call["self"]], count)
    return list(made) if isinstance(made, tuple) else [made]


def _split(call: Call) -> Any:
    """In parts of a size, or of these sizes; the last one is smaller."""
    dim = call.integer("dim")
    if isinstance(call["size"], (list, tuple)):
        sizes = call.integers("size")
        return _parts(call, Meaning(Kind.SPLIT, {"axis": dim, "sizes": sizes}), len(sizes))
    part = call.integer("size")
    return _parts(call, Meaning(Kind.SPLIT, {"axis": dim, "part": part}), None)


def _chunk(call: Call) -> Any:
    count = call.integer("chunks")
    return _parts(call, Meaning(Kind.SPLIT, {"axis": call.integer("dim")}), count)


def _unbind(call: Call) -> Any:
    return _parts(call, Meaning(Kind.UNSTACK, {"axis": call.integer("dim")}), None)


def _slice(call: Call) -> Any:
    attributes: dict[str, Any] = {"onnx": True, "axes": (call.integer("dim"),)}
    inputs: list[Any] = [call["self"]]
    try:
        attributes["begin"] = (call.integer("start", 0),)
        attributes["end"] = (call.integer("end", _END),)
    except NotPlain:
        attributes = {"onnx": True, "axes": attributes["axes"]}
        for name, default in (("start", 0), ("end", _END)):
            value = call[name]
            inputs.append([default if value is None else value])
    step = call.integer("step", 1)
    if step != 1:
        attributes["steps"] = (step,)
    return call.emit(Meaning(Kind.STRIDED_SLICE, attributes), inputs)


def _narrow(call: Call) -> Any:
    start, length = call.integer("start"), call.integer("length")
    meaning = Meaning(Kind.STRIDED_SLICE, {
        "onnx": True, "axes": (call.integer("dim"),), "begin": (start,), "end": (start + length,),
    })  # fmt: skip
    return call.emit(meaning, [call["self"]])


def _select(call: Call) -> Any:
    index = call["index"]
    where = index if isinstance(index, Ref) else call.integer("index")
    return call.emit(Meaning(Kind.GATHER, {"axis": call.integer("dim")}), [call["self"], where])


def _index(call: Call) -> Any:
    """x[i, j, …]: of one tensor of places a gather, of more only where they lead the axes."""
    indices = call.list("indices")
    given = [at for at, value in enumerate(indices) if value is not None]
    if len(given) == 1:
        meaning = Meaning(Kind.GATHER, {"axis": given[0]})
        return call.emit(meaning, [call["self"], indices[given[0]]])
    if given == list(range(len(given))) and given:
        parts = call.emit(
            function(Kind.BINARY, "index"),
            [indices[at] for at in given], dtype="int64",
        )  # fmt: skip
        return call.emit(
            Meaning(Kind.GATHER, {"axis": 0, "joined": len(given)}), [call["self"], parts]
        )
    return call.emit(Meaning(Kind.DATA_DEPENDENT), [call["self"]])


def _scatter(call: Call) -> Any:
    values = [v for v in call.arguments.values() if isinstance(v, Ref)]
    return call.emit(Meaning(Kind.SCATTER), values)


def _expand(call: Call) -> Any:
    attributes, sizes = call.sizes("size")
    meaning = Meaning(Kind.BROADCAST_TO, {"torch": True, **attributes})
    return call.emit(meaning, [call["self"], sizes])


def _pad(call: Call) -> Any:
    """Pairs from the last axis backwards, as PyTorch has them."""
    pads = call.integers("pad")
    pairs = [(pads[at], pads[at + 1]) for at in range(0, len(pads) - 1, 2)]
    axes = tuple(-1 - at for at in range(len(pairs)))
    amounts = (*(low for low, _ in pairs), *(high for _, high in pairs))
    meaning = Meaning(Kind.PAD, {"order": "begin_end", "pads": amounts, "axes": axes})
    return call.emit(meaning, [call["self"]])


def _resize(call: Call) -> Any:
    """upsample_*: sizes, or else scales as a list or one for each axis at the end."""
    sizes = call["size"]
    if sizes is not None:
        attributes, index = call.sizes("size")
        if "shape" in attributes:
            attributes["sizes"] = attributes.pop("shape")
        meaning = Meaning(Kind.RESIZE, {"layout": "channels_first", **attributes})
        return call.emit(meaning, [call["self"], None, None, index])
    scales = call.plain("scales")
    if scales is None:
        found = [v for k, v in call.arguments.items() if k.startswith("scale") and v is not None]
        scales = found[0] if found and isinstance(found[0], (list, tuple)) else found
    given = [scales] if isinstance(scales, (int, float)) else list(scales)
    if not given or not all(isinstance(scale, (int, float)) for scale in given):
        raise NotPlain
    meaning = Meaning(Kind.RESIZE, {"layout": "channels_first", "scales": given})
    return call.emit(meaning, [call["self"]])


def _by_data(call: Call) -> Any:
    return call.emit(Meaning(Kind.DATA_DEPENDENT), [call["self"]], call.outputs or 1)


def _stated(call: Call) -> Any:
    values = [v for v in call.arguments.values() if isinstance(v, Ref)]
    return call.emit(Meaning(Kind.POSTPROCESS), values, call.outputs or 1)


def _nothing(call: Call) -> Any:
    """A check of what an exporter took for granted: it gives nothing."""
    return None


_UPSAMPLE = "self size align_corners scale_h scale_w"
_UPSAMPLE_NEAREST = "self size scale_h scale_w"

MOVEMENT: dict[str, Entry] = {
    **dict.fromkeys(
        ("_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range",
         "sym_constrain_range_for_size", "_functional_assert_async",
         "_functional_sym_constrain_range", "_functional_sym_constrain_range_for_size"),
        ("self a b c d e", _nothing)),
    **dict.fromkeys(
        ("detach", "alias", "lift_fresh", "lift", "clone", "contiguous", "dropout",
         "feature_dropout", "alpha_dropout", "requires_grad", "cpu", "resolve_conj",
         "resolve_neg", "identity", "_conj", "pin_memory", "data"), ("self", _copied)),
    **{name: _cast(dtype) for name, dtype in (
        ("float", "float32"), ("half", "float16"), ("double", "float64"), ("long", "int64"),
        ("int", "int32"), ("bool", "bool"), ("bfloat16", "bfloat16"), ("type_as", "float32"))},
    **dict.fromkeys(("flip", "roll", "tril", "triu", "rot90", "renorm", "channel_shuffle",
                     "native_channel_shuffle", "fliplr", "flipud"),
                    row("self", Kind.IDENTITY, exact=False)),
    "_weight_norm": row("v g dim", Kind.IDENTITY, "v", exact=False),
    "to": ("self dtype layout device pin_memory non_blocking copy", _to),
    "_to": ("self dtype layout device", _to), "_to_dim_order": ("self dtype", _to),
    "_clone_dim_order": ("self dtype", _copied), "convert_element_type": ("self dtype", _to),
    "type_as": ("self dtype", _to),
    "view": ("self shape", _reshape), "reshape": ("self shape", _reshape),
    "_unsafe_view": ("self shape", _reshape),
    "et_view": ("self shape", _reshape), "_reshape_alias": ("self shape", _reshape),
    "view_as": ("self other", _reshape_as), "reshape_as": ("self other", _reshape_as),
    **dict.fromkeys(("flatten", "ravel"), row(
        "self start end", Kind.FLATTEN, axis=integer("start"), end=integer("end", -1))),
    "unflatten": ("self dim sizes", _unflatten), "squeeze": ("self dim", _squeeze),

    "unsqueeze": row("self dim", Kind.EXPAND_DIMS, axes=lambda call: (call.integer("dim"),)),
    "permute": row("self dims", Kind.TRANSPOSE, permutation=lambda call: call.integers("dims")),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), row(
        "self dim0 dim1", Kind.TRANSPOSE,
        swap=lambda call: (call.integer("dim0"), call.integer("dim1")))),
    **dict.fromkeys(("t", "numpy_T"), row("self", Kind.TRANSPOSE, swap=(-1, 0))),
    **dict.fromkeys(("mT", "adjoint"), row("self", Kind.TRANSPOSE, swap=(-1, -2))),
    **dict.fromkeys(("movedim", "moveaxis"), row(
        "self source destination", Kind.TRANSPOSE,
        moves=lambda call: (call.integers("source"), call.integers("destination")))),
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined(Kind.CONCAT)),
    "stack": _joined(Kind.STACK),
    "split": ("self size dim", _split), "split_with_sizes": ("self size dim", _split),
    "unsafe_split": ("self size dim", _split), "unsafe_split_with_sizes": ("self size dim", _split),
    "tensor_split": ("self chunks dim", _chunk), "chunk": ("self chunks dim", _chunk),
    "unsafe_chunk": ("self chunks dim", _chunk), "unbind": ("self dim", _unbind),
    "slice": ("self dim start end step", _slice), "narrow": ("self dim start length", _narrow),
    "select": ("self dim index", _select),
    "index_select": row("self dim index", Kind.GATHER, "self index", axis=integer("dim")),
    "gather": row("self dim index", Kind.GATHER_ELEMENTS, "self index"),
    "take_along_dim": row("self index dim", Kind.GATHER_ELEMENTS, "self index"),
    "index": ("self indices", _index), "_unsafe_index": ("self indices", _index),
    "embedding": row("weight indices", Kind.GATHER, "weight indices", axis=0),
    **dict.fromkeys(
        ("scatter", "scatter_add", "scatter_reduce", "index_put", "_index_put_impl",
         "index_copy", "index_add", "index_fill", "slice_scatter", "select_scatter", "copy",
         "diagonal_scatter", "masked_scatter", "fill", "zero"),
        ("self a b c d", _scatter)),
    "expand": ("self size", _expand), "broadcast_to": ("self size", _expand),
    "expand_as": row("self other", Kind.BINARY, "self other", function="second"),
    **dict.fromkeys(("repeat", "tile"), row(
        "self repeats", Kind.TILE, repeats=lambda call: call.integers("repeats"), torch=True)),
    "pad": ("self pad mode value", _pad), "constant_pad_nd": ("self pad value", _pad),
    **dict.fromkeys(
        ("reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
         "replication_pad2d", "replication_pad3d", "_pad_circular"), ("self pad", _pad)),
    "topk": row("self k dim largest sorted", Kind.TOP_K, outputs=2, k=integer("k", 1),
                 axis=integer("dim", -1)),
    "sort": row("self dim", Kind.IDENTITY, "self self", outputs=2, exact=False),
    "argsort": row("self dim", Kind.IDENTITY, dtype="int64", exact=False),
    **{f"pixel_{name}": row("self factor", kind, block=integer("factor"), layout="channels_first")
       for name, kind in (("shuffle", Kind.DEPTH_TO_SPACE), ("unshuffle", Kind.SPACE_TO_DEPTH))},
    **dict.fromkeys(
        ("upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d", "upsample_linear1d",
         "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"), (_UPSAMPLE, _resize)),
    **dict.fromkeys(
        ("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
         "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d"),
        (_UPSAMPLE_NEAREST, _resize)),
    **dict.fromkeys(
        ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "grid_sample"),
        row("self grid", Kind.GRID_SAMPLE, "self grid")),
    **dict.fromkeys(("nonzero", "unique", "_unique2", "masked_select", "bincount",
                     "unique_consecutive", "nonzero_numpy", "repeat_interleave", "unfold",
                     "diagonal", "diag", "meshgrid", "take", "bucketize", "searchsorted"),
                    ("self a b c d", _by_data)),
    **dict.fromkeys(("im2col", "col2im", "affine_grid_generator", "fft_fft", "fft_rfft",
                     "fft_ifft", "fft_irfft", "fft_fft2", "fft_rfft2", "stft", "istft",
                     "view_as_real", "view_as_complex", "complex", "real", "imag", "polar",
                     "linspace", "logspace", "eye", "hann_window", "hamming_window",
                     "torchvision::nms", "torchvision::roi_align", "torchvision::roi_pool",
                     "torchvision::ps_roi_align", "torchvision::ps_roi_pool", "multinomial",
                     "randperm", "randint", "normal", "uniform", "embedding_bag",
                     "_embedding_bag"),
                    ("self a b c d e f g h", _stated)),
}  # fmt: skip
