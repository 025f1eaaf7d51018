"""Exported programs (`.pt2`): a graph of ATen calls with all shapes, as JSON.

Public schema: torch/_export/serde/schema.yaml. Weights lie one in a file under `data/weights` with
a JSON list, or as a state dict inside the archive (PyTorch 2.8 and before).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from edgewise.archive import Entry
from edgewise.errors import InputError, LimitExceeded, RejectedModel
from edgewise.formats.aten.recorder import Recorder, Ref
from edgewise.formats.aten.tables import record
from edgewise.formats.kit import flat
from edgewise.formats.pytorch.container import Container, tensor
from edgewise.formats.pytorch.pickled import Storage, Stored
from edgewise.formats.pytorch.weights import Walk
from edgewise.graph import FreeDim, Graph, Shape, Tensor

JSON_LIMIT = 256 << 20
#: The serialised numbers of dtypes (ScalarType of the schema).
_DTYPES = (
    "unknown", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
    "complex32", "complex64", "complex128", "bool", "bfloat16", *["unknown"] * 14, "uint16",
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
)  # fmt: skip
#: Parts that run under another setting, and how deep they are followed.
_WRAPPED = (
    "torch.ops.higher_order.wrap_with_autocast",
    "torch.ops.higher_order.wrap_with_set_grad",
)
_DEEPEST = 16
#: ScalarType's numbers as operators take them (`to` and the like), by the serialised numbers.
_AS_ARGUMENT = (21, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15)


def read(container: Container) -> Graph:
    """The graph of an exported program.

    Raises:
        RejectedModel: the JSON is none, or the graph reads what is not there.
    """
    program = _json(container, _model_name(container))
    try:
        graph = _Program(container, program).graph()
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise RejectedModel(f"not a valid exported program: {error!r}"[:200]) from error
    version = program.get("torch_version")
    graph.producer = f"torch {version}" if isinstance(version, str) else None
    graph.notes = [*container.notes, *graph.notes]
    return graph


def _model_name(container: Container) -> str:
    """The first of the models in the archive."""
    inside = [name.removeprefix(container.stem) for name in container.names]
    found = sorted(name for name in inside if name.startswith("models/") and name.endswith(".json"))
    found += [name for name in inside if name.endswith("serialized_exported_program.json")]
    if not found:
        raise RejectedModel("the archive has no exported program")
    return "models/model.json" if "models/model.json" in found else found[0]


def _json(container: Container, name: str) -> dict[str, Any]:
    data = container.content(name)
    if len(data) > JSON_LIMIT:
        raise LimitExceeded(f"{name} is larger than {JSON_LIMIT >> 20} MiB")
    try:
        found = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise RejectedModel(f"{name} is no JSON: {error}"[:200]) from error
    if not isinstance(found, dict):
        raise RejectedModel(f"{name} is no JSON object")
    return found


class _Program:
    def __init__(self, container: Container, program: dict[str, Any]) -> None:
        module = program["graph_module"]
        self._graph = module["graph"]
        self._depth = 0
        self._signature = module["signature"]
        self._stored = _stored_tensors(container)
        self._recorder = Recorder("")
        self._refs: dict[str, Ref] = {}

    def graph(self) -> Graph:
        recorder = self._recorder
        for spec in self._signature["input_specs"]:
            self._input(spec)
        for node in self._graph["nodes"]:
            self._node(node)
        graph = recorder.graph
        for spec in self._signature["output_specs"]:
            output = spec.get("user_output")
            name = _name_of(output["arg"]) if output else None
            if name in self._refs:
                graph.outputs.append(recorder.resolve(self._refs[name]))
        graph.format = "pytorch"
        return graph

    def _input(self, spec: dict[str, Any]) -> None:
        ((kind, content),) = spec.items()
        if kind == "token":
            return
        name = _name_of(content["arg"])
        if name is None:
            return
        stated = self._meta(name)
        owned = next(
            (content[key] for key in ("parameter_name", "buffer_name", "tensor_constant_name",
                                      "custom_obj_name") if key in content), None)  # fmt: skip
        if owned is None:
            index = self._recorder.add(Tensor(name, *stated), name)
            self._recorder.graph.inputs.append(index)
        else:
            held = self._stored.get(owned)
            made = held if held is not None else Tensor(owned, *stated)
            made.name = owned
            index = self._recorder.add(made, name)
            if held is None:
                self._recorder.graph.notes.append(f"the values of {owned!r} are not in the file")
        self._refs[name] = self._recorder.ref(index)

    def _meta(self, name: str) -> tuple[str, Shape | None]:
        meta = self._graph["tensor_values"].get(name)
        if meta is None:
            return "unknown", None
        return _DTYPES[meta["dtype"]], tuple(_size(size) for size in meta["sizes"])

    def _node(self, node: dict[str, Any]) -> None:
        target = str(node["target"])
        if target.startswith(_WRAPPED) and self._inlined(node):
            return
        op = _operator_name(target)
        named = {
            part.get("name") or str(at): self._value(part["arg"])
            for at, part in enumerate(node["inputs"])
        }
        names = list(_output_names(node["outputs"]))
        made = record(
            self._recorder, op, (), named, name=str(node.get("name") or names[0:1] or op),
            outputs=len(names),
        )  # fmt: skip
        values = list(flat(made))
        for at, name in enumerate(names):
            ref = values[at] if at < len(values) else None
            if isinstance(ref, Ref):
                self._bind(name, ref)
            elif isinstance(ref, int) and not isinstance(ref, bool):
                index = self._recorder.index_of(ref)
                if index is not None:
                    self._refs[name] = self._recorder.ref(index, "int")

    def _inlined(self, node: dict[str, Any]) -> bool:
        """A part under another setting (no gradients, another number type): its calls follow."""
        inputs = node["inputs"]
        place = next((at for at, part in enumerate(inputs) if "as_graph" in part["arg"]), None)
        if place is None or self._depth == _DEEPEST:
            return False
        inner = inputs[place]["arg"]["as_graph"]["graph"]
        given = [self._value(part["arg"]) for part in inputs[place + 1 :]]
        graph, refs = self._graph, self._refs
        self._graph, self._depth = inner, self._depth + 1
        self._refs = refs | dict(zip(_output_names(inner["inputs"]), given, strict=False))
        for part in inner["nodes"]:
            self._node(part)
        made = [self._used(name) for name in _output_names(inner["outputs"])]
        self._graph, self._refs, self._depth = graph, refs, self._depth - 1
        self._refs.update(zip(_output_names(node["outputs"]), made, strict=False))
        return True

    def _bind(self, name: str, ref: Ref) -> None:
        self._refs[name] = ref
        dtype, shape = self._meta(name)
        seen = self._recorder.seen(ref)
        if dtype != "unknown" and seen.weights is None:
            seen.dtype, seen.shape, seen.name = dtype, shape, name

    def _value(self, arg: dict[str, Any]) -> Any:
        """An argument: a union with one field that is set."""
        ((kind, value),) = arg.items()
        if kind == "as_tensor":
            return self._used(value["name"])
        if kind in ("as_tensors", "as_optional_tensors"):
            return [self._used(_name_of(part)) if _name_of(part) else None for part in value]
        if kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
            return self._symbol(value)
        if kind in ("as_sym_ints", "as_sym_bools", "as_sym_floats"):
            return [self._symbol(part) for part in value]
        if kind == "as_scalar_type":
            return _AS_ARGUMENT[value] if value < len(_AS_ARGUMENT) else 6
        if kind in ("as_none", "as_device", "as_layout", "as_memory_format"):
            return None
        return value if isinstance(value, (int, float, str, list)) else None

    def _symbol(self, value: dict[str, Any]) -> Any:
        ((kind, content),) = value.items()
        return self._used(content) if kind == "as_name" else content

    def _used(self, name: Any) -> Ref:
        ref = self._refs.get(name)
        if ref is None:
            raise RejectedModel(f"the graph reads {name!r}, which nothing before it gives")
        return ref


def _operator_name(target: str) -> str:
    """`torch.ops.aten.conv2d.default` is `aten::conv2d`; `_operator.mul` is `mul`."""
    parts = target.split(".")
    if parts[:2] == ["torch", "ops"] and len(parts) > 3:
        return f"{parts[2]}::{parts[3]}"
    return parts[-1]


def _name_of(arg: Mapping[str, Any]) -> str | None:
    """The name of the value that an argument refers to."""
    if "name" in arg:
        return str(arg["name"])
    for key, value in arg.items():
        if key.startswith("as_") and isinstance(value, Mapping):
            return str(value.get("name", value.get("as_name", ""))) or None
    return None


def _output_names(outputs: list[dict[str, Any]]) -> Iterator[str]:
    for output in outputs:
        for value in output.values():
            for part in value if isinstance(value, list) else [value]:
                name = _name_of(part) if isinstance(part, Mapping) else None
                if name is None and isinstance(part, Mapping) and "as_name" in part:
                    name = str(part["as_name"])
                yield name or ""


def _size(size: dict[str, Any]) -> int | FreeDim:
    ((kind, value),) = size.items()
    if kind == "as_int":
        return int(value)
    hint = value.get("hint")
    default = hint.get("as_int") if isinstance(hint, Mapping) else None
    return FreeDim(str(value.get("expr_str", "dynamic")), default)


def _stored_tensors(container: Container) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for folder in ("weights", "constants"):
        for name in container.names:
            inside = name.removeprefix(container.stem)
            if inside.startswith(f"data/{folder}/") and inside.endswith("_config.json"):
                found |= _configured(container, inside, folder)
            elif inside.startswith(f"data/{folder}/") and inside.endswith(".pt"):
                found |= _nested(container, name)
    for name in container.names:
        if name.endswith(("serialized_state_dict.pt", "serialized_constants.pt")):
            found |= _nested(container, name)
    return found


def _configured(container: Container, name: str, folder: str) -> dict[str, Tensor]:
    """Tensors that lie one in a file, as the JSON list says."""
    found = {}
    for key, entry in _json(container, name).get("config", {}).items():
        meta = entry["tensor_meta"]
        if entry.get("use_pickle") or not container.has(f"data/{folder}/{entry['path_name']}"):
            continue
        sizes, strides = ([part["as_int"] for part in meta[what]] for what in ("sizes", "strides"))
        storage = container.storage(f"data/{folder}", entry["path_name"])
        offset = meta["storage_offset"]["as_int"]
        held = Storage(_DTYPES[meta["dtype"]], key, 0)
        found[key] = tensor(key, Stored(held, offset, tuple(sizes), tuple(strides)), storage)
    return found


def _nested(container: Container, name: str) -> dict[str, Tensor]:
    """A state dict that is a file of PyTorch's inside the archive."""
    entry = container.archive.get(name)
    if not isinstance(entry, Entry) or not entry.size:
        return {}
    try:
        inner = Container(entry)
        walk = Walk().tensors(inner.pickle("data.pkl").value)
        return {
            key: tensor(key, held, inner.storage("data", held.storage.key)) for key, held in walk
        }
    except InputError:
        return {}
