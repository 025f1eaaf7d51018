"""ExecuTorch: programs of PyTorch that were lowered ahead of time (`.pte`).

Which backend runs which part is decided when a program is made: here is nothing to choose. Its
package needs torch without saying so, and takes seconds of CPU to import.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.errors import RuntimeRefused
from edgewise.records import Delegation, LayerTime, Port, RuntimeInfo, RuntimeOption
from edgewise.runtimes import contract
from edgewise.runtimes.refusal import refusals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "executorch"
EXTRA = "executorch"
NEEDED_FOR = "running ExecuTorch programs"
FORMATS = ("executorch",)
DEFAULT_DELEGATE = "as-lowered"
OPTIONS: tuple[RuntimeOption, ...] = (
    RuntimeOption(name="method", help="the method to run", default="forward"),
)
#: The import takes seconds of CPU, more on a loaded machine; it is not the model's time.
IMPORT_S = 90.0
_DELEGATED, _OWN = "DELEGATE_CALL", "native_call_"


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    import torch  # noqa: F401 - needed, and not declared: without it the error misleads
    from executorch.runtime import Runtime

    Runtime.get()
    return RuntimeInfo(
        name=NAME,
        version=contract.installed_version("executorch"),
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
) -> ExecuTorchSession:
    """See `Runtime.load`."""
    if delegate != DEFAULT_DELEGATE:
        raise RuntimeRefused(f"ExecuTorch programs run as they were lowered, not on {delegate!r}")
    import torch
    from executorch.extension.pybindings import _C
    from executorch.runtime import Runtime

    with refusals():
        torch.set_num_threads(threads)
        _C._unsafe_reset_threadpool(threads)  # the only way to set them
        traced: dict[str, Any] = {}
        if profile is not None:
            traced = {"enable_etdump": True}
        program = Runtime.get().load_program(str(path), **traced)
        method = program.load_method(options["method"])
        if method is None:
            has = ", ".join(sorted(program.method_names))
            raise RuntimeRefused(f"no method {options['method']!r}; the program has {has}")
        count = int(_C._threadpool_get_thread_count())
        return ExecuTorchSession(torch, program, method, profile, count)


class ExecuTorchSession(contract.Session):
    """See `Session`. Sizes that a program bounds may be smaller than stated, never larger."""

    def __init__(
        self, torch: Any, program: Any, method: Any, profile: Path | None, threads: int
    ) -> None:
        self._torch, self._program, self._method = torch, program, method
        self._profile, self._threads = profile, threads
        facts = method.metadata
        self.inputs = tuple(
            _port(f"input_{index}", facts.input_tensor_meta(index))
            for index in range(facts.num_inputs())
        )
        self.outputs = tuple(
            _port(f"output_{index}", facts.output_tensor_meta(index))
            for index in range(facts.num_outputs())
        )
        self._fed: list[Any] = []
        self._found: Any = ()
        self._events: list[tuple[str, float]] | None = None
        self.invoke = self._run

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """See `Session.resize`. A program's memory was planned for the sizes that it states."""
        for port in self.inputs:
            stated, asked = port.shape or (), shapes[port.name]
            if len(stated) != len(asked) or any(b > a for a, b in zip(stated, asked, strict=True)):
                raise RuntimeRefused(
                    f"the program plans input {port.name!r} for {'×'.join(map(str, stated))}; "
                    f"{'×'.join(map(str, asked))} was asked for"
                )

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`."""
        with refusals():
            self._fed = [self._torch.from_numpy(values[port.name]) for port in self.inputs]

    def _run(self) -> None:
        self._found = self._method.execute(self._fed)

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        with refusals():
            return {
                port.name: value.numpy().copy()
                for port, value in zip(self.outputs, self._found, strict=True)
            }

    def layer_times(self, runs: int) -> tuple[LayerTime, ...] | None:
        """See `Session.layer_times`: from the events of the last call. A part that a backend took
        is one row."""
        if self._profile is None:
            return None
        dump, buffer = self._profile / "run.etdump", self._profile / "run.debug"
        with refusals():
            self._program.write_etdump_result_to_file(str(dump), str(buffer))
            from executorch.devtools import Inspector

            table = Inspector(etdump_path=str(dump)).to_dataframe()
        for file in (dump, buffer):
            file.unlink(missing_ok=True)
        rows = zip(table["event_block_name"], table["event_name"], table["p50 (ms)"], strict=True)
        self._events = [
            (str(name), float(ms))
            for block, name, ms in rows
            if block == "Execute" and (name == _DELEGATED or str(name).startswith(_OWN))
        ]
        total = sum(ms for _, ms in self._events)
        return tuple(
            LayerTime(
                name=f"{index}", op=name.removeprefix(_OWN), mean_ms=ms,
                share=ms / total if total else 0.0,
            )
            for index, (name, ms) in enumerate(self._events)
        )  # fmt: skip

    def coverage(self) -> Delegation | None:
        """See `Session.coverage`: how many parts backends took, and what the others are."""
        if self._events is None:
            reason = "ExecuTorch tells what backends took in its profile (--profile)"
            return Delegation(delegate=DEFAULT_DELEGATE, fell_back={}, reason=reason)
        names = [name for name, _ in self._events]
        own = Counter(name.removeprefix(_OWN) for name in names if name != _DELEGATED)
        return Delegation(
            delegate=DEFAULT_DELEGATE,
            partitions=names.count(_DELEGATED),
            fell_back=dict(own.most_common()),
            reason="how many operators a partition holds is not told",
        )

    def used(self) -> dict[str, str]:
        """See `Session.used`."""
        return {"threads": str(self._threads)}


#: Torch's types by their number, a part of the files' format.
_TYPES = {
    0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32",
    7: "float64", 11: "bool", 15: "bfloat16",
}  # fmt: skip


def _port(name: str, meta: Any) -> Port:
    dtype = _TYPES.get(int(meta.dtype()), f"type {meta.dtype()}")
    return Port(name=name, shape=tuple(int(size) for size in meta.sizes()), dtype=dtype)
