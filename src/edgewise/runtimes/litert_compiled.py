"""LiteRT through `CompiledModel`, the interface that replaces the interpreter.

Its CPU kernels are XNNPACK's, LiteRT's own or the reference ones; XNNPACK's packed weights may be
kept in a file (`weight-cache`), which makes loading a second time faster. It takes fewer files than
the interpreter does, and does not tell which operators were accelerated, only whether all were.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise import sandbox
from edgewise.errors import RuntimeRefused
from edgewise.records import Delegation, Port, RuntimeInfo, RuntimeOption
from edgewise.runtimes import contract, litert
from edgewise.runtimes.refusal import refusals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "litert-compiled"
EXTRA = "litert"
NEEDED_FOR = "running TFLite models"
FORMATS = ("tflite",)
DEFAULT_DELEGATE = "xnnpack"
OPTIONS = (
    RuntimeOption(
        name="weight-cache",
        help="XNNPACK's packed weights: cold (written anew by every load), warm (kept from an "
        "earlier load), or the file to keep them in",
    ),
)
_FILL_S = 60.0
#: Names of `CpuKernelMode` by delegate.
_MODES = {"xnnpack": "XNNPACK", "none": "BUILTIN", "reference": "REFERENCE"}


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    import ai_edge_litert
    import ai_edge_litert.compiled_model

    version = getattr(ai_edge_litert, "__version__", None) or litert.info().version
    return RuntimeInfo(
        name=NAME, version=version, delegates=tuple(_MODES), formats=FORMATS, options=OPTIONS
    )


def load(
    path: Path,
    *,
    threads: int,
    delegate: str,
    options: Mapping[str, str],
    profile: Path | None = None,
) -> CompiledSession:
    """See `Runtime.load`. It offers no profiler: `profile` changes nothing."""
    contract.check_delegate("LiteRT", delegate, _MODES)
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.cpu_kernel_mode import CpuKernelMode
    from ai_edge_litert.cpu_options import CpuOptions
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import Options

    cache = _cache(options.get("weight-cache"), path)
    with refusals():
        cpu = CpuOptions(
            num_threads=threads,
            kernel_mode=CpuKernelMode[_MODES[delegate]],
            xnnpack_weight_cache_path=cache,
        )
        settings = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=cpu)
        model = CompiledModel.from_file(str(path), options=settings)
    if options.get("weight-cache") == "cold":  # the model holds it open
        shutil.rmtree(Path(cache).parent, ignore_errors=True)
    return CompiledSession(model, delegate)


def prepare(path: Path, *, threads: int, delegate: str, options: Mapping[str, str]) -> None:
    """See `registry.prepare`: what is to be loaded with warm packed weights has some."""
    cache = _cache(options.get("weight-cache"), path)
    if options.get("weight-cache") == "warm" and not Path(cache).exists():
        values = [str(path), threads, delegate, cache]
        sandbox.call(f"{__name__}:load_once", *values, limits=sandbox.Limits(seconds=_FILL_S))


def _cache(wanted: str | None, model: Path) -> str:
    """The file of packed weights; "" for none."""
    if wanted == "cold":
        return str(Path(tempfile.mkdtemp(prefix="edgewise-")) / "weights")
    if wanted == "warm":
        facts = model.stat()
        name = f"edgewise-weights-{os.getuid()}-{facts.st_ino}-{facts.st_size}-{facts.st_mtime_ns}"
        return str(Path(tempfile.gettempdir()) / name)
    return wanted or ""


def load_once(path: str, threads: int, delegate: str, cache: str) -> None:
    """In a worker process: load a model, so that its packed weights are written."""
    load(Path(path), threads=threads, delegate=delegate, options={"weight-cache": cache})


class CompiledSession(contract.Session):
    """See `Session`. Of a file with several signatures the first is run."""

    resizes_fixed = True

    def __init__(self, model: Any, delegate: str) -> None:
        self._model, self._delegate = model, delegate
        signatures = model.get_signature_list()
        key = next(iter(signatures), None)
        if key is None:
            raise RuntimeRefused("CompiledModel finds no signature in the file")
        self._several = len(signatures) > 1
        signature = model.get_signature_by_index(0)
        given = model.get_input_tensor_details(key)
        made = model.get_output_tensor_details(key)
        self.inputs = tuple(_port(name, given[name]) for name in signature["inputs"])
        self.outputs = tuple(_port(name, made[name]) for name in signature["outputs"])
        self._key = key
        self._buffers: tuple[list[Any], list[Any]] = ([], [])
        self._shapes = {port.name: port.shape for port in self.inputs}

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """See `Session.resize`. A dimension that the file fixes is resized all the same."""
        with refusals():
            for index, port in enumerate(self.inputs):
                if shapes[port.name] != self._shapes[port.name]:
                    self._shapes[port.name] = None  # unknown, should the next line fail
                    self._model.resize_input_tensor(index, shapes[port.name], 0, strict=False)
                    self._shapes[port.name] = shapes[port.name]
            given = self._model.create_input_buffers(0)
            made = self._model.create_output_buffers(0)
        self._buffers = given, made
        self.invoke = functools.partial(self._model.run_by_index, 0, given, made)

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`."""
        with refusals():
            for port, buffer in zip(self.inputs, self._buffers[0], strict=True):
                buffer.write(values[port.name])

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        import numpy as np

        found = {}
        with refusals():
            details = self._model.get_output_tensor_details(self._key)
            for port, buffer in zip(self.outputs, self._buffers[1], strict=True):
                shape = tuple(int(size) for size in details[port.name]["shape"])
                flat = np.asarray(buffer.read(int(np.prod(shape)), np.dtype(port.dtype)))
                found[port.name] = flat.reshape(shape)
        return found

    def notes(self) -> list[str]:
        """See `Session.notes`."""
        several = "the file has several signatures; the first was run"
        return [several] if self._several else []

    def coverage(self) -> Delegation | None:
        """See `Session.coverage`."""
        own = contract.OWN_KERNELS.get(self._delegate)
        whole = own is None and self._model.is_fully_accelerated()
        part = "CompiledModel tells only that it did not accelerate all operators"
        return Delegation(
            delegate=self._delegate,
            fell_back={},
            partitions=1 if whole else None,
            reason=own or ("all operators were accelerated" if whole else part),
        )


def _port(name: str, detail: Mapping[str, Any]) -> Port:
    dtype = getattr(detail["dtype"], "__name__", str(detail["dtype"]))
    return Port(name=name, shape=tuple(int(size) for size in detail["shape"]), dtype=dtype)
