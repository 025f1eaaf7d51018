"""ONNX Runtime.

Threads of one operator only, no spinning (waiting threads that burn a core belong to a server, and
disturb whatever else a phone does), inputs bound once so that the timed call copies nothing.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.errors import InputError, RuntimeRefused
from edgewise.records import Delegation, LayerTime, Port, RuntimeInfo, RuntimeOption
from edgewise.runtimes import contract
from edgewise.runtimes.refusal import refusals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "onnxruntime"
EXTRA = "onnx"
NEEDED_FOR = "running ONNX models"
FORMATS = ("onnx", "ort")
DEFAULT_DELEGATE = "cpu"
OPTIONS = (
    RuntimeOption(
        name="optimisation",
        help="how far the graph is optimised",
        values=("none", "basic", "extended", "all"),
        default="all",
    ),
    RuntimeOption(
        name="spinning",
        help="whether waiting threads burn their core",
        values=("off", "on"),
        default="off",
    ),
)
_LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_SUFFIX = "ExecutionProvider"
#: Runs elsewhere than on this device.
_REMOTE = {"azure"}
_SILENT = 4
_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    import onnxruntime

    names = sorted(_providers(onnxruntime), key=lambda name: name != DEFAULT_DELEGATE)
    return RuntimeInfo(
        name=NAME,
        version=onnxruntime.__version__,
        delegates=tuple(names),
        formats=FORMATS,
        options=OPTIONS,
    )


def _providers(onnxruntime: Any) -> dict[str, str]:
    """Execution providers by delegate name: `CPUExecutionProvider` is "cpu"."""
    found = {
        each.removesuffix(_SUFFIX).lower(): each for each in onnxruntime.get_available_providers()
    }
    return {name: provider for name, provider in found.items() if name not in _REMOTE}


def load(
    path: Path,
    *,
    threads: int,
    delegate: str,
    options: Mapping[str, str],
    profile: Path | None = None,
) -> OnnxRuntimeSession:
    """See `Runtime.load`."""
    import onnxruntime

    providers = _providers(onnxruntime)
    contract.check_delegate("ONNX Runtime", delegate, providers)
    provider = providers[delegate]
    onnxruntime.set_default_logger_severity(_SILENT)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _SILENT
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    spinning = "1" if options["spinning"] == "on" else "0"
    settings.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    level = _LEVELS[options["optimisation"]]
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.__members__[level]
    if profile is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(profile / "onnxruntime")
    in_order = list(dict.fromkeys((provider, providers[DEFAULT_DELEGATE])))
    with refusals():
        session = onnxruntime.InferenceSession(str(path), settings, providers=in_order)
    if session.get_providers()[0] != provider:
        raise RuntimeRefused(f"ONNX Runtime could not start {provider} and fell back")
    has_strings = any(
        "string" in each.type for each in (*session.get_inputs(), *session.get_outputs())
    )
    return (_WithStrings if has_strings else OnnxRuntimeSession)(session, delegate)


class OnnxRuntimeSession(contract.Session):
    """See `Session`."""

    def __init__(self, session: Any, delegate: str) -> None:
        self._session = session
        self._delegate = delegate
        self._ran_on: Counter[tuple[str, str]] | None = None
        self.inputs = tuple(_port(each) for each in session.get_inputs())
        self.outputs = tuple(_port(each) for each in session.get_outputs())
        self._binding = session.io_binding()
        self._fed: Mapping[str, Array] = {}
        self.invoke: Callable[[], Any] = functools.partial(
            session.run_with_iobinding, self._binding
        )

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """See `Session.resize`. ONNX Runtime takes any size of a free dimension, no other."""
        for port in self.inputs:
            stated = port.signature if port.signature is not None else port.shape
            if stated is not None:
                _check_shape(port.name, stated, shapes[port.name])

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`."""
        with refusals():
            # The binding looks at the memory of the arrays: the same ones need not be bound again.
            if values is not self._fed:
                self._fed = {}
                for name, value in values.items():
                    self._binding.bind_cpu_input(name, value)
                self._fed = values
            for port in self.outputs:
                self._binding.bind_output(port.name)

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        with refusals():
            arrays = self._binding.copy_outputs_to_cpu()
        return {port.name: array for port, array in zip(self.outputs, arrays, strict=True)}

    def layer_times(self, runs: int) -> tuple[LayerTime, ...] | None:
        """See `Session.layer_times`."""
        with refusals():
            report = Path(self._session.end_profiling())
        events = json.loads(report.read_text())
        report.unlink()
        self._ran_on = _providers_of(events)
        return _per_layer(events, runs)

    def coverage(self) -> Delegation | None:
        """See `Session.coverage`. Which provider ran a node is told by the profiler alone."""
        if self._delegate == DEFAULT_DELEGATE:
            return Delegation(
                delegate=self._delegate, fell_back={}, reason=contract.OWN_KERNELS["cpu"]
            )
        if self._ran_on is None:
            reason = "ONNX Runtime tells which provider ran an operator in its profile (--profile)"
            return Delegation(delegate=self._delegate, fell_back={}, reason=reason)
        left: Counter[str] = Counter()
        for (op, provider), count in self._ran_on.items():
            if provider.removesuffix(_SUFFIX).lower() != self._delegate:
                left[op] += count
        total = sum(self._ran_on.values())
        return Delegation(
            delegate=self._delegate,
            operators=total,
            delegated=total - sum(left.values()),
            fell_back=dict(left.most_common()),
            reason="partitions are not told",
        )

    def used(self) -> dict[str, str]:
        """See `Session.used`."""
        return {"threads": str(self._session.get_session_options().intra_op_num_threads)}


def _providers_of(events: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """How many nodes of each operator ran on each provider, from the profiler's trace."""
    nodes = {
        event["name"]: (event["args"].get("op_name", ""), event["args"].get("provider", ""))
        for event in events
        if event.get("cat") == "Node" and event.get("name", "").endswith("_kernel_time")
    }
    return Counter(nodes.values())


class _WithStrings(OnnxRuntimeSession):
    """ONNX Runtime binds no strings: they are copied in and out by the call."""

    def __init__(self, session: Any, delegate: str) -> None:
        super().__init__(session, delegate)
        self._given: dict[str, Array] = {}
        self._taken: list[Array] = []
        self.invoke = self._run

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`. Strings come as bytes, of UTF-8.

        Raises:
            InputError: they are not.
        """
        self._given = {name: _as_text(name, value) for name, value in values.items()}

    def _run(self) -> None:
        self._taken = self._session.run(None, self._given)

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        return {port.name: array for port, array in zip(self.outputs, self._taken, strict=True)}


def _as_text(name: str, value: Array) -> Array:
    import numpy as np

    if value.dtype.kind != "O":
        return value
    text = np.empty(value.size, dtype=object)
    try:
        text[:] = [bytes(each).decode() for each in value.flat]
    except UnicodeDecodeError as error:
        raise InputError(f"the input '{name}' holds a string that is no UTF-8") from error
    return text.reshape(value.shape)


def _check_shape(name: str, stated: tuple[int | str, ...], wanted: tuple[int, ...]) -> None:
    if len(stated) != len(wanted):
        raise RuntimeRefused(
            f"input {name!r} has {len(stated)} dimensions, {len(wanted)} were asked for"
        )
    for axis, (size, asked) in enumerate(zip(stated, wanted, strict=True)):
        if isinstance(size, int) and size != asked:
            what = "batch" if axis == 0 else f"dimension {axis}"
            raise RuntimeRefused(
                f"the file fixes the {what} of input {name!r} at {size}; {asked} was asked for"
            )


def _port(argument: Any) -> Port:
    dtype = _DTYPES.get(argument.type, argument.type.removeprefix("tensor(").removesuffix(")"))
    if not isinstance(argument.shape, list):  # a sequence, a map, an optional
        return Port(name=argument.name, shape=None, dtype=argument.type)
    if all(isinstance(size, int) for size in argument.shape):
        return Port(name=argument.name, shape=tuple(argument.shape), dtype=dtype)
    signature = tuple(
        size if isinstance(size, int) else size or f"dim{axis}"
        for axis, size in enumerate(argument.shape)
    )
    return Port(name=argument.name, shape=None, dtype=dtype, signature=signature)


def _per_layer(events: list[dict[str, Any]], runs: int) -> tuple[LayerTime, ...]:
    """Kernel times from the profiler's trace (µs), over its last `runs` runs of every node."""
    durations: dict[tuple[str, str], list[float]] = {}
    for event in events:
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith("_kernel_time"):
            key = (name.removesuffix("_kernel_time"), event.get("args", {}).get("op_name", ""))
            durations.setdefault(key, []).append(float(event["dur"]))
    means = {key: sum(times[-runs:]) / len(times[-runs:]) / 1e3 for key, times in durations.items()}
    total = sum(means.values())
    return tuple(
        LayerTime(name=name, op=op, mean_ms=mean, share=mean / total if total else 0.0)
        for (name, op), mean in means.items()
    )
