"""LiteRT (formerly TensorFlow Lite), through its interpreter.

The interpreter and not `CompiledModel`: it is what apps ship today, it resizes inputs of files that
fix their shapes, and its call is the bare one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.errors import RuntimeRefused
from edgewise.records import Delegation, Port, RuntimeInfo, RuntimeOption
from edgewise.runtimes import contract
from edgewise.runtimes.refusal import refusals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "litert"
EXTRA = "litert"
NEEDED_FOR = "running TFLite models"
FORMATS = ("tflite",)
DEFAULT_DELEGATE = "xnnpack"
OPTIONS: tuple[RuntimeOption, ...] = ()
#: What LiteRT calls the node that stands for a partition.
_PARTITION = "DELEGATE"
#: Names of `OpResolverType` by delegate. LiteRT applies XNNPACK unless told not to.
_RESOLVERS = {
    "xnnpack": "BUILTIN",
    "none": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    import ai_edge_litert.interpreter

    version = getattr(ai_edge_litert, "__version__", None)
    return RuntimeInfo(name=NAME, version=version, delegates=tuple(_RESOLVERS), formats=FORMATS)


def load(
    path: Path,
    *,
    threads: int,
    delegate: str,
    options: Mapping[str, str],
    profile: Path | None = None,
) -> LiteRTSession:
    """See `Runtime.load`. Python's interpreter offers no profiler: `profile` changes nothing."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    contract.check_delegate("LiteRT", delegate, _RESOLVERS)
    with refusals():
        interpreter = Interpreter(
            model_path=str(path),
            num_threads=threads,
            experimental_op_resolver_type=OpResolverType[_RESOLVERS[delegate]],
        )
        return LiteRTSession(interpreter, delegate)


class LiteRTSession(contract.Session):
    """See `Session`."""

    resizes_fixed = True

    def __init__(self, interpreter: Any, delegate: str) -> None:
        self._interpreter = interpreter
        self._delegate = delegate
        self._input_indices, self.inputs = _ports(interpreter.get_input_details(), "input")
        self._output_indices, self.outputs = _ports(interpreter.get_output_details(), "output")
        self._forced: list[str] = []
        self._shapes = {port.name: port.shape for port in self.inputs}
        self.invoke = interpreter.invoke

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """See `Session.resize`. A dimension that the file fixes is resized all the same.

        LiteRT then propagates the new size through the graph and fails where an operator does not
        allow it; `notes` says that it was done.
        """
        try:
            with refusals():
                for port in self.inputs:
                    if shapes[port.name] != self._shapes[port.name]:
                        self._shapes[port.name] = None  # unknown, should the next line fail
                        self._resize_one(port, shapes[port.name])
                        self._shapes[port.name] = shapes[port.name]
                self._interpreter.allocate_tensors()
        except RuntimeRefused as refusal:
            raise self._with_shapes(refusal, shapes) from refusal

    def _with_shapes(
        self, refusal: RuntimeRefused, shapes: Mapping[str, tuple[int, ...]]
    ) -> RuntimeRefused:
        """The refusal with what was asked for: LiteRT's own words name no input."""
        asked = [
            f"{port.name!r} from {'×'.join(map(str, port.signature or port.shape or ()))}"
            f" to {'×'.join(map(str, shapes[port.name]))}"
            for port in self.inputs
            if port.name in self._forced
        ]
        if not asked:
            return refusal
        return RuntimeRefused(f"cannot resize input {', '.join(asked)}: {refusal.message}")

    def _resize_one(self, port: Port, shape: tuple[int, ...]) -> None:
        stated = port.signature or port.shape or ()
        strict = len(stated) == len(shape) and all(
            isinstance(was, str) or was == now for was, now in zip(stated, shape, strict=True)
        )
        if not strict and port.name not in self._forced:
            self._forced.append(port.name)
        self._interpreter.resize_tensor_input(self._input_indices[port.name], shape, strict=strict)

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`."""
        with refusals():
            for name, value in values.items():
                self._interpreter.set_tensor(self._input_indices[name], value)

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        with refusals():
            return {
                name: self._interpreter.get_tensor(index)
                for name, index in self._output_indices.items()
            }

    def notes(self) -> list[str]:
        """See `Session.notes`."""
        return [
            f"the file fixes the shape of input {name!r}; LiteRT resized it all the same"
            for name in self._forced
        ]

    def coverage(self) -> Delegation | None:
        """See `Session.coverage`.

        LiteRT has no public way to ask. Its list of nodes after delegation has one more for every
        partition, and the nodes that it replaced: those between its inputs and its outputs.
        """
        nodes = self._interpreter._get_ops_details()
        own = [node for node in nodes if node["op_name"] != _PARTITION]
        partitions = [node for node in nodes if node["op_name"] == _PARTITION]
        taken = _taken(own, partitions)
        left = Counter(node["op_name"] for node in own if node["index"] not in taken)
        return Delegation(
            delegate=self._delegate,
            operators=len(own),
            delegated=len(taken),
            partitions=len(partitions),
            fell_back={} if self._delegate in contract.OWN_KERNELS else dict(left.most_common()),
            reason=contract.OWN_KERNELS.get(self._delegate),
        )


def _taken(own: list[dict[str, Any]], partitions: list[dict[str, Any]]) -> set[int]:
    """Which nodes lie between the inputs and the outputs of a partition, by their index."""
    producer = {int(tensor): node for node in own for tensor in node["outputs"]}
    taken: set[int] = set()
    for partition in partitions:
        seen = {int(tensor) for tensor in partition["inputs"]}
        ahead = [int(tensor) for tensor in partition["outputs"]]
        while ahead:
            tensor = ahead.pop()
            if tensor in seen or tensor not in producer:
                continue
            node = producer[tensor]
            seen.update(int(each) for each in node["outputs"])
            taken.add(node["index"])
            ahead.extend(int(each) for each in node["inputs"])
    return taken


def _ports(details: list[dict[str, Any]], role: str) -> tuple[dict[str, int], tuple[Port, ...]]:
    """Tensor indices by name, and the ports. Names may be empty or double: then numbered."""
    indices: dict[str, int] = {}
    ports = []
    for number, detail in enumerate(details):
        name = detail["name"]
        if not name or name in indices:
            name = f"{role}_{number}"
        indices[name] = detail["index"]
        ports.append(_port(name, detail))
    return indices, tuple(ports)


def _port(name: str, detail: dict[str, Any]) -> Port:
    shape = tuple(int(size) for size in detail["shape"])
    signature: tuple[int | str, ...] = tuple(
        int(size) if size >= 0 else f"dim{axis}"
        for axis, size in enumerate(detail["shape_signature"])
    )
    dtype = getattr(detail["dtype"], "__name__", str(detail["dtype"]))
    scale, zero_point = detail["quantization"]
    return Port(
        scale=float(scale) or None,
        zero_point=int(zero_point) if scale else None,
        name=name,
        shape=shape,
        dtype="string" if dtype in ("bytes_", "object_", "str_") else dtype,
        signature=signature if any(isinstance(part, str) for part in signature) else None,
    )
