"""LiteRT (formerly TensorFlow Lite), through its interpreter.

The interpreter and not `CompiledModel`: it is what apps ship today, it resizes inputs of files that
fix their shapes, and its call is the bare one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.errors import RuntimeRefused
from edgewise.records import LayerTime, Port, RuntimeInfo
from edgewise.runtimes.refusal import not_importable, refusals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "litert"
EXTRA = "litert"
_NEEDED_FOR = "running TFLite models"
FORMATS = ("tflite",)
DEFAULT_DELEGATE = "xnnpack"
#: Names of `OpResolverType` by delegate. LiteRT applies XNNPACK unless told not to.
_RESOLVERS = {
    "xnnpack": "BUILTIN",
    "none": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    try:
        import ai_edge_litert.interpreter
    except ImportError as error:
        reason = str(not_importable(error, EXTRA, _NEEDED_FOR))
        return RuntimeInfo(name=NAME, version=None, formats=FORMATS, available=False, reason=reason)
    version = getattr(ai_edge_litert, "__version__", None)
    return RuntimeInfo(name=NAME, version=version, delegates=tuple(_RESOLVERS), formats=FORMATS)


def load(path: Path, *, threads: int, delegate: str, profile: Path | None = None) -> LiteRTSession:
    """See `Runtime.load`. Python's interpreter offers no profiler: `profile` changes nothing."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise not_importable(error, EXTRA, _NEEDED_FOR) from error
    if delegate not in _RESOLVERS:
        raise RuntimeRefused(f"LiteRT has no delegate {delegate!r}; it has {', '.join(_RESOLVERS)}")
    with refusals():
        interpreter = Interpreter(
            model_path=str(path),
            num_threads=threads,
            experimental_op_resolver_type=OpResolverType[_RESOLVERS[delegate]],
        )
        return LiteRTSession(interpreter, delegate)


class LiteRTSession:
    """See `Session`."""

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
        notes = [
            f"the file fixes the shape of input {name!r}; LiteRT resized it all the same"
            for name in self._forced
        ]
        if self._delegate == "xnnpack":
            notes += self._delegation()
        return notes

    def _delegation(self) -> list[str]:
        # LiteRT has no public way to ask; the list of operators after delegation tells.
        names = [each["op_name"] for each in self._interpreter._get_ops_details()]
        if "DELEGATE" in names:
            return []
        return ["XNNPACK took none of the operators: LiteRT's own kernels were measured"]

    def layer_times(self, runs: int) -> tuple[LayerTime, ...] | None:
        """See `Session.layer_times`: LiteRT's Python interpreter has no profiler."""
        return None


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
    return Port(
        name=name,
        shape=shape,
        dtype="string" if dtype in ("bytes_", "object_", "str_") else dtype,
        signature=signature if any(isinstance(part, str) for part in signature) else None,
    )
