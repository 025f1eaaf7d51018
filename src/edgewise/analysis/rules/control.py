"""Rules of control flow: bodies get their inputs, and give their outputs back."""

from __future__ import annotations

from collections.abc import Sequence

from edgewise.analysis.rules.counted import Loop
from edgewise.analysis.scope import CannotTell, Dims, Scope, Shapes, whole
from edgewise.graph import Graph, Kind, Layer


def _bind(inner: Scope, body: Graph, outer: Scope, layer: Layer, places: Sequence[int]) -> None:
    """The body's inputs are the layer's inputs at `places`, in order."""
    for inside, place in zip(body.inputs, places, strict=False):
        index = layer.inputs[place] if place < len(layer.inputs) else None
        if index is None:
            continue
        inner.dims[inside] = outer.dims[index]
        value = outer.value_of(index)
        if value is not None:
            inner.values[inside] = value


def _outputs(shapes: Shapes, body: Graph) -> list[Dims | None]:
    return [shapes.dims[index] for index in body.outputs]


def _call(scope: Scope, layer: Layer) -> list[Dims | None]:
    (body,) = layer.bodies
    inner = scope.enter(body)
    _bind(inner, body, scope, layer, range(len(layer.inputs)))
    shapes = inner.run()
    scope.keep([shapes])
    _hand_out(scope, layer, inner)
    return _outputs(shapes, body)


def _hand_out(scope: Scope, layer: Layer, inner: Scope) -> None:
    """Values that a body gives back, constants too, are those of the layer's outputs."""
    for place, index in enumerate(inner.graph.outputs[: len(layer.outputs)]):
        value = inner.value_of(index)
        if value is not None:
            scope.set_value(layer, value, place)


def _if(scope: Scope, layer: Layer) -> list[Dims | None]:
    found, inside = [], []
    for body in layer.bodies:
        inner = scope.enter(body)
        _bind(inner, body, scope, layer, range(1, len(layer.inputs)))
        found.append(inner.run())
        inside.append(inner)
    taken = _taken(scope, layer)
    if taken is None and len(found) == 2 and found[0].impossible is not found[1].impossible:
        # Exporters write one branch per sample rate or rank: the other cannot run here.
        taken = 1 if found[0].impossible else 0
        scope.note(f"{layer.op}: a branch that cannot run with these sizes is left out")
    scope.keep(found, taken=taken)
    branches = [_outputs(s, b) for s, b in zip(found, layer.bodies, strict=True)]
    if taken is not None:
        _hand_out(scope, layer, inside[taken])
        return branches[taken]
    first, *others = branches
    return [
        dims if all(place < len(o) and o[place] == dims for o in others) else None
        for place, dims in enumerate(first)
    ]


def _taken(scope: Scope, layer: Layer) -> int | None:
    """Which branch runs, where the sizes decide it, as exporters ask before they squeeze an axis.

    Only of a condition that is a boolean: the index of a CASE counts its branches.
    """
    index = layer.inputs[0] if layer.inputs else None
    if index is None or scope.graph.tensors[index].dtype != "bool" or len(layer.bodies) != 2:
        return None
    condition = scope.value_of(index)
    if condition is None or condition.size != 1:
        return None
    return 0 if condition.reshape(-1)[0] else 1


def _loop(scope: Scope, layer: Layer) -> list[Dims | None]:
    match layer.attributes.get("style"):
        case "onnx":
            return _onnx_loop(scope, layer)
        case "scan":
            return _scan(scope, layer)
        case "slices":
            return _slices(scope, layer)
        case _:
            return _while(scope, layer)


def _onnx_loop(scope: Scope, layer: Layer) -> list[Dims | None]:
    (body,) = layer.bodies
    inner = scope.enter(body)
    _bind(inner, body, scope, layer, range(len(layer.inputs)))
    for inside in body.inputs[:2]:
        inner.values.pop(inside, None)
        inner.dims[inside] = ()
    # What the body hands on as it came keeps its value from trip to trip.
    passed = set(body.outputs[1:])
    _forget_values(inner, [index for index in body.inputs[2:] if index not in passed])
    shapes = inner.run()
    trips = _trips(scope, layer, body, inner)
    scope.keep([shapes], trips)
    states = len(layer.inputs) - 2
    after = _outputs(shapes, body)[1:]
    scans = [None if dims is None or trips is None else (trips, *dims) for dims in after[states:]]
    return after[:states] + scans


def _trips(scope: Scope, layer: Layer, body: Graph, inner: Scope) -> int | None:
    """A constant trip count, unless the body may stop earlier."""
    count = scope.value(layer, 0)
    if count is None or count.size != 1:
        return None
    goes_on = body.outputs[0]
    value = inner.value_of(goes_on)
    passed_on = goes_on == body.inputs[1] or any(
        lyr.kind == Kind.IDENTITY and lyr.outputs[0] == goes_on and lyr.inputs[0] == body.inputs[1]
        for lyr in body.layers
    )
    always = value is not None and value.size == 1 and bool(value.reshape(-1)[0])
    return whole(count.reshape(-1)[0]) if passed_on or always else None


def _forget_values(inner: Scope, indices: Sequence[int]) -> None:
    """State changes from trip to trip: its value before the first is not its value."""
    for index in indices:
        inner.values.pop(index, None)


def _scan(scope: Scope, layer: Layer) -> list[Dims | None]:
    (body,) = layer.bodies
    scanned = layer.attributes.get("scan_inputs", 0)
    states = len(layer.inputs) - scanned
    inner = scope.enter(body)
    _bind(inner, body, scope, layer, range(len(layer.inputs)))
    _forget_values(inner, body.inputs)
    trips: int | None = None
    axes = layer.attributes.get("scan_input_axes") or [0] * scanned
    for place, axis in zip(range(states, len(layer.inputs)), axes, strict=True):
        dims = list(scope.shape(layer, place))
        trips = dims.pop(axis)
        inner.dims[body.inputs[place]] = tuple(dims)
    shapes = inner.run()
    scope.keep([shapes], trips)
    after = _outputs(shapes, body)
    out_axes = layer.attributes.get("scan_output_axes") or [0] * len(after[states:])
    return after[:states] + [
        _stacked(dims, trips, axis) for dims, axis in zip(after[states:], out_axes, strict=True)
    ]


def _stacked(dims: Dims | None, trips: int | None, axis: int) -> Dims | None:
    """The results of all trips along a new axis."""
    if dims is None or trips is None:
        return None
    place = axis if axis >= 0 else axis + len(dims) + 1
    return (*dims[:place], trips, *dims[place:])


def _slices(scope: Scope, layer: Layer) -> list[Dims | None]:
    """Some inputs come a part at a time, some outputs are joined along an axis that they have."""
    (body,) = layer.bodies
    inner = scope.enter(body)
    _bind(inner, body, scope, layer, range(len(layer.inputs)))
    _forget_values(inner, body.inputs)
    trips = layer.attributes.get("trip_count")
    counted = layer.attributes.get("trip_count_input")
    value = scope.value(layer, counted) if counted is not None else None
    if value is not None and value.size == 1 and value.reshape(-1)[0] >= 0:
        trips = whole(value.reshape(-1)[0])
    for place, (axis, part) in layer.attributes.get("slices", {}).items():
        dims = list(scope.shape(layer, place))
        trips = dims[axis] // part
        dims[axis] = part
        inner.dims[body.inputs[place]] = tuple(dims)
    shapes = inner.run()
    scope.keep([shapes], trips)
    axes = layer.attributes.get("concats", ())
    return [
        _repeated(dims, trips, axis)
        for dims, axis in zip(_outputs(shapes, body), axes, strict=True)
    ]


def _repeated(dims: Dims | None, trips: int | None, axis: int | None) -> Dims | None:
    """The results of all trips, joined along an axis; without one that of the last trip."""
    if dims is None or axis is None:
        return dims
    at = axis % len(dims)
    return None if trips is None else (*dims[:at], dims[at] * trips, *dims[at + 1 :])


def _while(scope: Scope, layer: Layer) -> list[Dims | None]:
    if len(layer.bodies) != 2:
        raise CannotTell
    found, scopes = [], []
    passed = {
        place
        for place, (into, out) in enumerate(
            zip(layer.bodies[1].inputs, layer.bodies[1].outputs, strict=False)
        )
        if into == out
    }
    for body in layer.bodies:
        inner = scope.enter(body)
        _bind(inner, body, scope, layer, range(len(layer.inputs)))
        changed = [index for place, index in enumerate(body.inputs) if place not in passed]
        _forget_values(inner, changed)
        found.append(inner.run())
        scopes.append(inner)
    trips = layer.attributes.get("trip_count")
    if trips is None:
        trips = Loop(scope, layer, *scopes).trips()
    scope.keep(found, trips)
    states = [scope.maybe_shape(layer, place) for place in range(len(layer.outputs))]
    return [
        _listed(scopes[1], place, trips) if dims is None else dims
        for place, dims in enumerate(states)
    ]


def _listed(body: Scope, place: int, trips: int | None) -> Dims | None:
    """A state that is a list, filled by one item a trip: its items, stacked."""
    index: int | None = body.graph.outputs[place] if place < len(body.graph.outputs) else None
    for _ in range(4):
        maker = next((one for one in body.graph.layers if index in one.outputs), None)
        if maker is None or not maker.inputs:
            return None
        if maker.attributes.get("list"):
            item = body.maybe_shape(maker, 2)
            return None if item is None or trips is None else (trips, *item)
        index = maker.inputs[0]
    return None


RULES = {Kind.IF: _if, Kind.LOOP: _loop, Kind.CALL: _call}
