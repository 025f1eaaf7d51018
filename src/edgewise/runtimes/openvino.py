"""OpenVINO: its own IR, and ONNX, TFLite, TensorFlow and Paddle files as they are.

A model is compiled once its shapes are known; `resize` does that, and counts as loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.records import Delegation, LayerTime, Port, RuntimeInfo, RuntimeOption
from edgewise.runtimes import contract
from edgewise.runtimes.refusal import refusals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "openvino"
EXTRA = "openvino"
NEEDED_FOR = "running models with OpenVINO"
FORMATS = ("openvino", "onnx", "tflite", "tensorflow", "paddle")
DEFAULT_DELEGATE = "cpu"
OPTIONS = (
    RuntimeOption(
        name="precision",
        help="precision of inference; by default what the device prefers",
        values=("f32", "f16", "bf16"),
    ),
)


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    import openvino

    return RuntimeInfo(
        name=NAME,
        version=openvino.__version__.partition("-")[0],
        delegates=tuple(_devices(openvino.Core())),
        formats=FORMATS,
        options=OPTIONS,
    )


def _devices(core: Any) -> dict[str, str]:
    """OpenVINO's names of devices by ours, the CPU first."""
    names = sorted(core.available_devices, key=lambda name: name != "CPU")
    return {name.lower(): name for name in names}


def load(
    path: Path,
    *,
    threads: int,
    delegate: str,
    options: Mapping[str, str],
    profile: Path | None = None,
) -> OpenVinoSession:
    """See `Runtime.load`."""
    import openvino

    core = openvino.Core()
    devices = _devices(core)
    contract.check_delegate("OpenVINO", delegate, devices)
    settings: dict[str, Any] = {"PERF_COUNT": profile is not None}
    if delegate == DEFAULT_DELEGATE:
        settings |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    if "precision" in options:
        settings["INFERENCE_PRECISION_HINT"] = options["precision"]
    with refusals():
        return OpenVinoSession(core, core.read_model(str(path)), devices[delegate], settings)


class OpenVinoSession(contract.Session):
    """See `Session`."""

    resizes_fixed = True

    def __init__(self, core: Any, model: Any, device: str, settings: dict[str, Any]) -> None:
        self._core, self._model, self._device, self._settings = core, model, device, settings
        self._given = dict(_named("input", model.inputs))
        self._made = dict(_named("output", model.outputs))
        self.inputs = tuple(_port(name, port) for name, port in self._given.items())
        self.outputs = tuple(_port(name, port) for name, port in self._made.items())
        self._compiled: Any = None
        self._request: Any = None
        self._fed: list[Any] = []

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """See `Session.resize`. Where a network allows it, fixed dimensions are resized too."""
        with refusals():
            other = {
                index: list(shapes[port.name])
                for index, port in enumerate(self.inputs)
                if port.signature is not None or port.shape != shapes[port.name]
            }
            if other or self._compiled is not None:
                self._model.reshape(
                    {index: list(shapes[port.name]) for index, port in enumerate(self.inputs)}
                )
            self._compiled = self._core.compile_model(self._model, self._device, self._settings)
            self._request = self._compiled.create_infer_request()
        self.invoke = self._run

    def _run(self) -> None:
        # Not `infer`: that copies every output.
        self._request.start_async()
        self._request.wait()

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`. The arrays are looked at where they lie: nothing is copied."""
        import openvino

        with refusals():
            self._fed = []
            for index, port in enumerate(self.inputs):
                tensor = openvino.Tensor(values[port.name], shared_memory=True)
                self._request.set_input_tensor(index, tensor)
                self._fed += [values[port.name], tensor]

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        with refusals():
            return {
                port.name: self._request.get_output_tensor(index).data.copy()
                for index, port in enumerate(self.outputs)
            }

    def layer_times(self, runs: int) -> tuple[LayerTime, ...] | None:
        """See `Session.layer_times`: OpenVINO keeps the last call's, `runs` changes nothing."""
        with refusals():
            nodes = [
                (each.node_name, each.node_type, each.real_time.total_seconds() * 1e3)
                for each in self._request.get_profiling_info()
                if each.status.name == "EXECUTED"
            ]
        total = sum(ms for _, _, ms in nodes)
        return tuple(
            LayerTime(name=name, op=op, mean_ms=ms, share=ms / total if total else 0.0)
            for name, op, ms in nodes
        )

    def coverage(self) -> Delegation | None:
        """See `Session.coverage`: a device runs all of a model, or it is refused."""
        count = len(self._compiled.get_runtime_model().get_ops())
        return Delegation(
            delegate=self._device.lower(),
            operators=count,
            delegated=0 if self._device == "CPU" else count,
            partitions=0 if self._device == "CPU" else 1,
            fell_back={},
            reason=contract.OWN_KERNELS["cpu"] if self._device == "CPU" else None,
        )

    def used(self) -> dict[str, str]:
        """See `Session.used`."""
        told = {}
        for name, key in (
            ("threads", "INFERENCE_NUM_THREADS"),
            ("precision", "INFERENCE_PRECISION_HINT"),
        ):
            try:
                value = self._compiled.get_property(key)
            except RuntimeError:  # not every device has it
                continue
            words = str(getattr(value, "get_type_name", lambda value=value: value)())
            told[name] = words
        return told


def _named(role: str, ports: Any) -> list[tuple[str, Any]]:
    """Ports by name; one without a name, or whose name was used, is numbered."""
    found: dict[str, Any] = {}
    for index, port in enumerate(ports):
        names = port.get_names()
        name = port.get_any_name() if names else f"{role}_{index}"
        found[f"{role}_{index}" if name in found else name] = port
    return list(found.items())


def _port(name: str, port: Any) -> Port:
    partial = port.get_partial_shape()
    dtype = _dtype(port.get_element_type())
    if partial.rank.is_dynamic:
        return Port(name=name, shape=None, dtype=dtype)
    if not partial.is_dynamic:
        return Port(name=name, shape=tuple(int(n) for n in partial.to_shape()), dtype=dtype)
    signature = tuple(
        f"dim{axis}" if size.is_dynamic else size.get_length() for axis, size in enumerate(partial)
    )
    return Port(name=name, shape=None, dtype=dtype, signature=signature)


def _dtype(element: Any) -> str:
    try:
        return str(element.to_dtype().name)
    except RuntimeError:
        return str(element.get_type_name())
