"""MNN, through its sessions: they time operators, and show a model's inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from edgewise.errors import RuntimeRefused
from edgewise.records import Delegation, LayerTime, Port, RuntimeInfo, RuntimeOption
from edgewise.runtimes import contract
from edgewise.runtimes.refusal import refusals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "mnn"
EXTRA = "mnn"
NEEDED_FOR = "running MNN models"
FORMATS = ("mnn",)
DEFAULT_DELEGATE = "cpu"
OPTIONS = (
    RuntimeOption(
        name="precision",
        help="low: fp16 or bf16 where the processor has it",
        values=("normal", "high", "low"),
        default="normal",
    ),
)


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    import MNN  # noqa: F401 - it is here or it is not

    return RuntimeInfo(
        name=NAME,
        version=contract.installed_version("MNN"),
        delegates=(DEFAULT_DELEGATE,),
        formats=FORMATS,
        options=OPTIONS,
    )


def load(
    path: Path,
    *,
    threads: int,
    delegate: str,
    options: Mapping[str, str],
    profile: Path | None = None,
) -> MnnSession:
    """See `Runtime.load`."""
    contract.check_delegate("MNN", delegate, [DEFAULT_DELEGATE])
    import MNN

    with refusals():
        net = MNN.Interpreter(str(path))
        session = net.createSession(
            {"numThread": threads, "backend": "CPU", "precision": options["precision"]}
        )
        return MnnSession(MNN, net, session)


class MnnSession(contract.Session):
    """See `Session`."""

    resizes_fixed = True

    def __init__(self, mnn: Any, net: Any, session: Any) -> None:
        self._mnn, self._net, self._session = mnn, net, session
        self._given = net.getSessionInputAll(session)
        self.inputs = tuple(_port(mnn, name, each) for name, each in self._given.items())
        self.outputs = tuple(
            _port(mnn, name, each) for name, each in net.getSessionOutputAll(session).items()
        )
        self._shapes = {port.name: port.shape for port in self.inputs}
        self._resized = False
        self.invoke = self._run

    def _run(self) -> None:
        code = self._net.runSession(self._session)
        if code:
            raise RuntimeRefused(f"MNN could not run the network (code {code})")

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """See `Session.resize`. MNN resizes what the file fixes too."""
        with refusals():
            changed = False
            for port in self.inputs:
                if shapes[port.name] != self._shapes[port.name]:
                    self._net.resizeTensor(self._given[port.name], shapes[port.name])
                    self._shapes[port.name] = shapes[port.name]
                    changed = True
            if changed or any(port.signature for port in self.inputs):
                self._net.resizeSession(self._session)
                self._resized = True

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`."""
        mnn = self._mnn
        with refusals():
            for port in self.inputs:
                value = values[port.name]
                kind = _kinds(mnn)[port.dtype]
                tensor = mnn.Tensor(value.shape, kind, value, mnn.Tensor_DimensionType_Caffe)
                if not self._given[port.name].copyFrom(tensor):
                    # It printed why; most often it has no kernel for an operator.
                    raise RuntimeRefused(
                        f"MNN could not make the network ready for input {port.name!r}: it lacks "
                        "an operator, or its shapes do not fit"
                    )

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        with refusals():
            made = self._net.getSessionOutputAll(self._session)
            return {name: tensor.getNumpyData().copy() for name, tensor in made.items()}

    def layer_times(self, runs: int) -> tuple[LayerTime, ...] | None:
        """See `Session.layer_times`: the same number of runs once more, with a call-back around
        every operator."""
        spent: dict[tuple[str, str], int] = {}
        begin = 0

        def before(tensors: Any, op: Any) -> bool:
            nonlocal begin
            begin = perf_counter_ns()
            return True

        def after(tensors: Any, op: Any) -> bool:
            key = op.getName(), op.getType()
            spent[key] = spent.get(key, 0) + perf_counter_ns() - begin
            return True

        with refusals():
            for _ in range(runs):
                self._net.runSessionWithCallBackInfo(self._session, before, after)
        total = sum(spent.values())
        return tuple(
            LayerTime(name=name, op=op, mean_ms=ns / runs / 1e6, share=ns / total if total else 0.0)
            for (name, op), ns in spent.items()
        )

    def coverage(self) -> Delegation | None:
        """See `Session.coverage`."""
        return Delegation(
            delegate=DEFAULT_DELEGATE, delegated=0, partitions=0, fell_back={},
            reason=contract.OWN_KERNELS["cpu"],
        )  # fmt: skip


def _kinds(mnn: Any) -> dict[str, Any]:
    return {
        "float32": mnn.Halide_Type_Float,
        "float64": mnn.Halide_Type_Double,
        "int32": mnn.Halide_Type_Int,
        "int64": mnn.Halide_Type_Int64,
        "uint8": mnn.Halide_Type_Uint8,
    }


def _port(mnn: Any, name: str, tensor: Any) -> Port:
    shape = tuple(int(size) for size in tensor.getShape())
    dtype = str(tensor.getNumpyData().dtype) if all(size > 0 for size in shape) else "float32"
    if any(size <= 0 for size in shape):
        signature = tuple(size if size > 0 else f"dim{axis}" for axis, size in enumerate(shape))
        return Port(name=name, shape=None, dtype=dtype, signature=signature)
    return Port(name=name, shape=shape, dtype=dtype)
