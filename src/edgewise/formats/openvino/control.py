"""OpenVINO's If, Loop and TensorIterator: which value outside is which one inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from edgewise.errors import RejectedModel
from edgewise.formats.building import Builder, Meaning
from edgewise.graph import Graph, Kind

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ReadBody = Callable[["Element"], Builder]
Parts = tuple[Meaning, list[int | None], tuple[Graph, ...]]


class _Body:
    """A body and the map of its ports, by the outside's port."""

    def __init__(self, element: Element, prefix: str, read: ReadBody) -> None:
        inner = element.find(f"{prefix}body")
        if inner is None:
            raise RejectedModel(f"{element.get('type')} without a body")
        self.builder = read(inner)
        layers = inner.iterfind("layers/layer")
        parameters = [number(one, "id") for one in layers if one.get("type") == "Parameter"]
        ordered = sorted(parameters, key=self._place)
        self.parameters = {layer: place for place, layer in enumerate(ordered)}
        self._map = element.find(f"{prefix}port_map")

    def _place(self, layer: int) -> int:
        index = self.builder.find((layer, 0))
        inputs = self.builder.graph.inputs
        return inputs.index(index) if index in inputs else len(inputs)

    def rows(self, kind: str) -> Iterator[tuple[int, int, Element]]:
        """(port outside, layer inside, the entry) of the port map's inputs or outputs."""
        for entry in self._map.iterfind(kind) if self._map is not None else ():
            yield number(entry, "external_port_id"), number(entry, "internal_layer_id"), entry

    def result(self, layer: int) -> int:
        """The tensor that a Result inside takes."""
        return self.builder.use((layer, -1), "the layer around it")


def control_flow(
    element: Element, ports: Sequence[int], inputs: list[int | None], outputs: Sequence[int],
    read: ReadBody,
) -> Parts:  # fmt: skip
    """What a layer with bodies means: its meaning, its inputs as arranged, its bodies."""
    outside = dict(zip(ports, inputs, strict=True))
    if element.get("type") == "If":
        return _branches(element, outside, inputs, outputs, read)
    return _loop(element, outside, inputs, outputs, read)


def _branches(
    element: Element, outside: dict[int, int | None], inputs: list[int | None],
    outputs: Sequence[int], read: ReadBody,
) -> Parts:  # fmt: skip
    graphs = []
    for prefix in ("then_", "else_"):
        body = _Body(element, prefix, read)
        graph = body.builder.graph
        for port, layer, _ in body.rows("input"):
            source, place = outside.get(port), body.parameters.get(layer)
            if source is None or place is None:
                raise RejectedModel("a branch takes a value that is not there")
            graph.captures[graph.inputs[place]] = source
        graph.inputs.clear()
        results = {port: body.result(layer) for port, layer, _ in body.rows("output")}
        if any(port not in results for port in outputs):
            raise RejectedModel("a branch leaves an output open")
        graph.outputs = [results[port] for port in outputs]
        graphs.append(graph)
    return Meaning(Kind.IF), inputs[:1], tuple(graphs)


def _loop(
    element: Element, outside: dict[int, int | None], inputs: list[int | None],
    outputs: Sequence[int], read: ReadBody,
) -> Parts:  # fmt: skip
    body = _Body(element, "", read)
    graph = body.builder.graph
    given: list[int | None] = [None] * len(graph.inputs)
    slices: dict[int, tuple[int, int]] = {}
    for port, layer, entry in body.rows("input"):
        place = body.parameters.get(layer)
        if place is None:
            raise RejectedModel("a loop gives a value to a layer that takes none")
        given[place] = outside.get(port)
        if entry.get("axis") is not None:
            slices[place] = (number(entry, "axis"), abs(number(entry, "part_size", 1)) or 1)
    found: dict[int, tuple[int, int | None]] = {}
    for port, layer, entry in body.rows("output"):
        axis = number(entry, "axis") if entry.get("axis") is not None else None
        found[port] = (body.result(layer), axis)
    graph.outputs = [found[port][0] for port in outputs if port in found]
    attributes: dict[str, Any] = {
        "style": "slices", "slices": slices,
        "concats": tuple(found[port][1] for port in outputs if port in found),
    }  # fmt: skip
    if element.get("type") == "Loop":
        given.append(inputs[0] if inputs else None)
        attributes["trip_count_input"] = len(given) - 1
    return Meaning(Kind.LOOP, attributes), given, (graph,)


def number(element: Element, name: str, default: int | None = None) -> int:
    """An attribute that is a whole number."""
    text = element.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise RejectedModel(f"{element.tag}: {name} is {text!r:.20}") from None
