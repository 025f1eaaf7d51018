"""What a network is made of, as numbers that rules ask for (`architectures.toml`, `tasks.toml`).

Found from what layers compute and how they are joined, so that names, formats and the way in which
an exporter spells a function do not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import prod

from edgewise.analysis.rules.compute import kernel_of
from edgewise.analysis.scope import CannotTell, Dims, Shapes
from edgewise.analysis.wiring import CUTTING, MOVING, Wiring
from edgewise.graph import Graph, Kind, Layer

Structure = Counter[str]

_PRODUCTS = frozenset({Kind.MATMUL, Kind.EINSUM})
_CONVOLUTION = frozenset({Kind.CONV})
#: Between the products of attention: scales, masks, and what moves.
_SCORES = MOVING | {Kind.BINARY, Kind.UNARY, Kind.WHERE, Kind.CONCAT} | CUTTING
_AFTER = MOVING | {Kind.WHERE} | CUTTING
#: What numbers of words pass before they are looked up.
_NUMBERS = MOVING | {Kind.BINARY, Kind.UNARY, Kind.WHERE}
#: What lies between the last convolution of a head and the end.
_NOT_A_HEAD = frozenset({
    Kind.RESIZE, Kind.CONV_TRANSPOSE, Kind.POOL, Kind.GLOBAL_POOL, Kind.DENSE, Kind.MATMUL,
    Kind.DEPTH_TO_SPACE, Kind.GRID_SAMPLE, Kind.REDUCE,
})  # fmt: skip
_BRANCHES = frozenset({Kind.CONV, Kind.POOL, Kind.RESIZE})
_CHANNELS = (1, 3, 4)
_FEW = (2, 50)
#: Classes of well-known data for segmentation.
_KNOWN_CLASSES = (19, 21, 150, 171)
#: A picture that has a class for each place has at least so many along each side.
_PLACES = 16


def structure(graph: Graph, shapes: Shapes) -> Structure:
    """The numbers of a network; what is not there counts 0."""
    return _Reading(graph, shapes).found


class _Reading:
    """One network while it is read."""

    def __init__(self, graph: Graph, shapes: Shapes) -> None:
        self.graph, self.dims = graph, shapes.dims
        self.wires = Wiring(graph)
        self.found: Structure = Counter()
        self.scales: set[tuple[int, ...]] = set()
        for layer in graph.layers:
            self._count(layer)
        if graph.outputs:
            self._ends()

    def _count(self, layer: Layer) -> None:
        found = self.found
        found[layer.kind.value] += 1
        match layer.kind:
            case Kind.CONV:
                self._convolution(layer)
            case Kind.BINARY:
                self._binary(layer)
            case Kind.UNARY:
                found[str(layer.attributes.get("function", ""))] += 1
            case Kind.CONCAT:
                self._join(layer)
            case Kind.SOFTMAX:
                self._attention(layer)
            case Kind.ATTENTION:
                found["attentions"] += 1
                found["causal"] += bool(layer.attributes.get("causal"))
            case Kind.NORMALISE:
                found[f"normalise_{layer.attributes.get('function')}"] += 1
            case Kind.REDUCE:
                self._mean(layer)
            case Kind.GATHER:
                self._lookup(layer)
            case Kind.TRANSPOSE:
                found["shuffles"] += self._shuffles(layer)
            case Kind.RECURRENT:
                found["bidirectional"] += layer.attributes.get("directions") == 2
        activation = layer.attributes.get("activation")
        if isinstance(activation, str):
            found["leaky_relu" if activation == "leakyrelu" else activation] += 1

    def _convolution(self, layer: Layer) -> None:
        found, dims = self.found, self._dims(layer.inputs[1:2])
        if not dims:
            return
        attributes = layer.attributes
        layout = attributes.get("weight_layout", "OI*")
        try:
            out, deep, kernel = kernel_of(dims[0], layout)
        except CannotTell:
            return
        groups = attributes.get("groups")
        own = layout == "1*O" or bool(groups and groups > 1)
        depthwise = own and deep == 1 and out > 1
        found["depthwise"] += depthwise
        found["large_depthwise"] += depthwise and kernel[0] >= 5
        found["wide_depthwise"] += depthwise and kernel[0] >= 7
        found["grouped"] += own and not depthwise
        found["pointwise"] += all(size == 1 for size in kernel)
        strides = tuple(attributes.get("strides") or ())
        found["patches"] += len(kernel) == 2 and kernel[0] >= 8 and strides == tuple(kernel)
        found["small_patches"] += kernel[:1] == (4,) and strides == tuple(kernel)
        found["strided"] += any(stride > 1 for stride in strides)
        flat = sum(size > 1 for size in kernel) == 1 and min(kernel) == 1
        found["along_time"] += flat or (len(kernel) == 1 and kernel[0] > 1)
        result = self._dims(layer.outputs)
        whole = len(kernel) == 2 and kernel[0] > 1 and depthwise
        found["whole_depthwise"] += bool(result) and whole and prod(result[0]) == out

    def _binary(self, layer: Layer) -> None:
        flowing = self.wires.flowing(layer)
        found, function = self.found, str(layer.attributes.get("function", ""))
        found["prelu"] += function == "prelu"
        # One slope for all channels, written as that of each.
        found["leaky_relu"] += function == "prelu" and self._is_one(layer)
        if len(flowing) != 2:
            return
        found[function] += 1
        if function == "add" and not self._is_shift(layer):
            found["sums"] += 1
            before = [self.wires.maker.get(self.wires.source(index)) for index in flowing]
            found["chained_sums"] += any(
                made is not None and made.attributes.get("function") == "add"
                and len(self.wires.flowing(made)) == 2 and not self._is_shift(made)
                for made in before
            )  # fmt: skip
        if function == "mul":
            one, other = self.dims[flowing[0]], self.dims[flowing[1]]
            # One number a channel spread over a picture, as squeeze and excite does.
            found["spreads"] += one is not None and other is not None and one != other
            first, second = map(self.wires.linear, flowing)
            found["gated"] += bool(
                first and second and first[0] == second[0] and first[1] != second[1]
            )

    def _is_one(self, layer: Layer) -> bool:
        """Whether what a layer is given beside its input is one number."""
        flowing = self.wires.flowing(layer)
        others = self._dims(i for i in layer.inputs if i not in flowing)
        return bool(others) and all(prod(dims) == 1 for dims in others)

    def _is_shift(self, layer: Layer) -> bool:
        """Whether a sum ends a norm: x · a + mean · b."""
        makers = [self.wires.maker.get(index) for index in self.wires.flowing(layer)]
        return all(m is not None and m.attributes.get("function") == "mul" for m in makers)

    def _attention(self, layer: Layer) -> None:
        """A softmax between two products of what is computed; whether each place sees only those
        before it, by a mask that has a row for each."""
        wires, scores = self.wires, _first(self.wires.flowing(layer))
        masks: list[int] = []
        for _ in range(12):
            made = None if scores is None else wires.maker.get(scores)
            if made is None or made.kind in _PRODUCTS:
                break
            masks += [i for i in made.inputs if i is not None and i != scores]
            long = [i for i in wires.flowing(made) if self.dims[i] == self.dims[scores or 0]]
            scores = _first(long or wires.flowing(made)) if made.kind in _SCORES else None
        if scores is None or made is None or len(wires.flowing(made)) != 2:
            return
        ahead = list(layer.outputs)
        for _ in range(12):
            users = [u for t in ahead if t is not None for u in wires.users.get(t, ())]
            if any(u.kind in _PRODUCTS and len(wires.flowing(u)) == 2 for u in users):
                self.found["attentions"] += 1
                shape = self.dims[scores]
                self.found["causal"] += any(self._is_causal(mask, shape) for mask in masks)
                return
            ahead = [t for u in users if u.kind in _AFTER for t in u.outputs]

    def _is_causal(self, mask: int, scores: Dims | None) -> bool:
        dims = self.dims[mask]
        if dims is None or scores is None or len(dims) < 2 or dims[-2:] != scores[-2:]:
            return False
        return dims != scores and (dims[-1] > 1 or mask not in self.wires.flows)

    def _mean(self, layer: Layer) -> None:
        """Norms as exporters write them: of the mean of squares, of what is centred or is not."""
        flowing = self.wires.flowing(layer)
        if layer.attributes.get("function") not in ("mean", "sum_square") or not flowing:
            return
        square = self.wires.maker.get(self.wires.source(flowing[0]))
        if square is None or square.kind not in (Kind.BINARY, Kind.UNARY):
            return
        inputs = self.wires.flowing(square)
        if square.attributes.get("function") == "squared_difference":
            self.found["normalise_layer"] += 1
        if len(inputs) != 1 or square.attributes.get("function") not in ("mul", "pow", "square"):
            return
        base = self.wires.maker.get(self.wires.source(inputs[0]))
        centred = base is not None and base.attributes.get("function") == "sub"
        self.found["normalise_layer" if centred else "normalise_rms"] += 1

    def _lookup(self, layer: Layer) -> None:
        """Rows of a table by numbers that are an input: of words, or of parts of them."""
        flowing = self.wires.flowing(layer)
        table = self._dims(i for i in layer.inputs[:2] if i is not None and i not in flowing)
        if len(flowing) != 1 or not table or len(table[0]) != 2:
            return
        if not any(self.wires.before(flowing[0], frozenset(Kind) - _NUMBERS, frozenset())):
            self.found["lookups"] += 1
            self.found["words"] = max(self.found["words"], int(table[0][0]))

    def _join(self, layer: Layer) -> None:
        parts = self.wires.flowing(layer)
        found = self.found
        found["joins"] += len(parts) >= 2
        found["wide_joins"] += len(parts) >= 3
        firsts = [next(self.wires.before(p, _BRANCHES, _NOT_A_HEAD), None) for p in parts]
        makers = [layer for layer in firsts if layer is not None]
        found["pooled_joins"] += sum(m.kind is Kind.POOL for m in makers) >= 3
        found["resized_joins"] += sum(m.kind is Kind.RESIZE for m in makers) >= 3
        rates = {tuple(m.attributes.get("dilations") or (1,)) for m in makers}
        found["dilated_joins"] += sum(max(rate) > 1 for rate in rates) >= 2
        self._scales(layer, parts)

    def _scales(self, layer: Layer, parts: Sequence[int]) -> None:
        """Heads over pictures of falling sizes, whose results are joined."""
        sizes = []
        for part in parts:
            heads = [self._places(h) for h in self.wires.before(part, _CONVOLUTION, _NOT_A_HEAD)]
            places = [place for place in heads if place]
            if not places:
                return
            sizes.append(max(places))
        if len(sizes) >= 2 and len(set(sizes)) == len(sizes):
            self.found["pyramids"] += 1
            self.found["levels"] = max(self.found["levels"], len(sizes))

    def _places(self, layer: Layer) -> int:
        """Over how many places of a picture a convolution goes."""
        dims = self._dims(layer.outputs)
        channels = -1 if layer.attributes.get("layout") == "channels_last" else 1
        return prod(dims[0]) // max(1, int(dims[0][channels])) if dims else 0

    def _shuffles(self, layer: Layer) -> bool:
        """Whether channels change places between groups: split, swapped, joined again."""
        before = self.wires.maker.get(next(iter(self.wires.flowing(layer)), -1))
        after = [u for t in layer.outputs if t is not None for u in self.wires.users.get(t, ())]
        if before is None or before.kind is not Kind.RESHAPE or len(after) != 1:
            return False
        one, other = self._dims(before.inputs[:1]), self._dims(after[0].outputs)
        own = self._dims(layer.inputs[:1])
        return (
            after[0].kind is Kind.RESHAPE and bool(one) and one == other
            and len(one[0]) == 4 and len(own[0]) == 5
        )  # fmt: skip

    def _ends(self) -> None:
        """How inputs and outputs go together."""
        found, graph = self.found, self.graph
        outputs = self._dims(graph.outputs)
        pictures = [d for d in self._dims(graph.inputs) if _is_picture(d)]
        found["outputs"] = len(graph.outputs)
        flat = [int(d[-1]) for d in outputs if d and prod(d) == d[-1]]
        found["few_classes"] = any(_FEW[0] <= size <= _FEW[1] for size in flat)
        found["narrow_output"] = any(len(d) == 3 and d[-1] < d[-2] for d in outputs)
        found["says_words"] = any(int(d[-1]) == found["words"] > 0 for d in outputs if d)
        heads = {head for index in graph.outputs if (head := self._head(index))}
        if len({places for places, _ in heads}) == len(graph.outputs) > 1:
            found["output_levels"] = len(heads)
        # Three boxes a place, each with four numbers, a score and the classes.
        found["anchors"] = len({wide for _, wide in heads}) == 1 and all(
            wide % 3 == 0 and wide >= 18 for _, wide in heads
        )
        last = self.wires.maker.get(self.wires.source(graph.outputs[0]))
        if len(pictures) != 1 or last is None or len(graph.outputs) != 1 or not outputs:
            return
        given = _plane(pictures[0])
        result = None if given is None else _plane(outputs[0], given)
        if given is None or result is None:
            return
        found["known_classes_of_places"] = (
            result[0] in _KNOWN_CLASSES
            and min(result[1:]) >= _PLACES
            and all(8 * b >= a for a, b in zip(given[1:], result[1:], strict=True))
        )  # fmt: skip
        found["same_picture"] = result[1:] == given[1:]
        found["larger_picture"] = result[0] == given[0] and all(
            after > before and after % before == 0
            for before, after in zip(given[1:], result[1:], strict=True)
        )
        functions = (last.attributes.get("function"), last.attributes.get("activation"))
        found["mask"] = result[0] == 1 and "sigmoid" in functions
        choosing = last.kind in (Kind.ARG_REDUCE, Kind.TOP_K)
        if choosing:
            result = _plane(self.dims[self.wires.flowing(last)[0]], given) or result
        if (choosing or last.kind is Kind.SOFTMAX) and min(result[1:]) >= _PLACES:
            found["class_of_each_place"] = 1 < result[0] < min(result[1:])

    def _head(self, output: int) -> tuple[int, int] | None:
        """Of an output that one convolution gives: over how many places, and its channels."""
        heads = list(self.wires.before(output, _CONVOLUTION, _NOT_A_HEAD))
        if len(heads) != 1 or not (places := self._places(heads[0])):
            return None
        return places, prod(self._dims(heads[0].outputs)[0]) // places

    def _dims(self, tensors: Iterable[int | None]) -> list[Dims]:
        return [d for i in tensors if i is not None and (d := self.dims[i]) is not None]


def _first(tensors: list[int]) -> int | None:
    """The first of some tensors."""
    return tensors[0] if tensors else None


def _is_picture(dims: Dims) -> bool:
    return _plane(dims) is not None and min(dims[-1], dims[-3]) in _CHANNELS


def _plane(
    dims: Dims | None, like: tuple[int, int, int] | None = None
) -> tuple[int, int, int] | None:
    """Channels, height and width of a picture, in whichever order: that in which it has the
    proportions of another, else that in which channels are fewest."""
    if dims is None or len(dims) not in (3, 4):
        return None
    a, b, c = (int(size) for size in dims[-3:])
    first, last = (a, b, c), (c, a, b)
    if like is not None:
        alike = [f for f in (first, last) if f[1] * like[2] == f[2] * like[1]]
        if len(alike) == 1:
            return alike[0]
    return last if c <= a else first
