"""ncnn. It answers with codes, not exceptions, and crashes on what it does not expect: missing
weights, arrays that are gone. A worker process that dies is a failed row, never a lost run.

Its matrices have no batch: ports show a batch of 1 before channels, height and width.
"""

from __future__ import annotations

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

NAME = "ncnn"
EXTRA = "ncnn"
NEEDED_FOR = "running ncnn models"
FORMATS = ("ncnn",)
DEFAULT_DELEGATE = "cpu"
WEIGHTS = "weights"
OPTIONS = (
    RuntimeOption(name=WEIGHTS, help="file of the weights, where it is not beside the model"),
    RuntimeOption(
        name="precision",
        help="fp16 storage and arithmetic where the processor has it, or fp32 alone",
        values=("fp16", "fp32"),
        default="fp16",
    ),
    RuntimeOption(
        name="winograd",
        help="Winograd's convolution: faster, takes more memory",
        values=("on", "off"),
        default="on",
    ),
)
_FP16 = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    import ncnn

    return RuntimeInfo(
        name=NAME,
        version=getattr(ncnn, "__version__", None),
        delegates=tuple(_delegates(ncnn)),
        formats=FORMATS,
        options=OPTIONS,
    )


def _delegates(ncnn: Any) -> list[str]:
    gpus = getattr(ncnn, "get_gpu_count", lambda: 0)()
    return ["cpu", "vulkan"] if gpus > 0 else ["cpu"]


def load(
    path: Path,
    *,
    threads: int,
    delegate: str,
    options: Mapping[str, str],
    profile: Path | None = None,
) -> NcnnSession:
    """See `Runtime.load`. The package has no profiler: `profile` changes nothing."""
    import ncnn

    contract.check_delegate("ncnn", delegate, _delegates(ncnn))
    weights = Path(options[WEIGHTS]) if WEIGHTS in options else _beside(path)
    if not weights.is_file():
        raise RuntimeRefused(f"its weights are missing: {weights.name} is not beside it")
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = delegate == "vulkan"
    net.opt.use_winograd_convolution = options["winograd"] == "on"
    for switch in _FP16:
        setattr(net.opt, switch, options["precision"] == "fp16")
    text = path.name.endswith(".bin")
    read = net.load_param_bin if text else net.load_param
    for what, code in (
        ("network", read(str(path))),
        ("weights", net.load_model(str(weights))),
    ):
        if code:
            raise RuntimeRefused(f"ncnn does not take the {what} (code {code})")
    shapes = {} if text else _stated(path.read_text(encoding="utf-8", errors="replace"))
    return NcnnSession(ncnn, net, shapes, delegate)


def _beside(path: Path) -> Path:
    """`x.bin` of `x.param` and of `x.param.bin`."""
    return path.with_name(f"{path.name.removesuffix('.bin').removesuffix('.param')}.bin")


class NcnnSession(contract.Session):
    """See `Session`."""

    resizes_fixed = True

    def __init__(
        self, ncnn: Any, net: Any, shapes: Mapping[str, tuple[int, ...]], delegate: str
    ) -> None:
        self._ncnn, self._net, self._delegate = ncnn, net, delegate
        self.inputs = tuple(_port(name, shapes.get(name)) for name in net.input_names())
        self.outputs = tuple(
            Port(name=name, shape=None, dtype="float32") for name in net.output_names()
        )
        self._mats: dict[str, Any] = {}
        self._held: list[Array] = []
        self._found: dict[str, Any] = {}
        self.invoke = self._run

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """See `Session.resize`. ncnn has nothing to prepare; it knows no batch."""
        for name, shape in shapes.items():
            if not 1 < len(shape) <= 5 or shape[0] != 1:
                words = "×".join(map(str, shape))
                raise RuntimeRefused(f"ncnn has no batches: input {name!r} cannot be {words}")

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`. A matrix looks at its array, which has to live as long."""
        import numpy as np

        self._held = [np.ascontiguousarray(value[0], np.float32) for value in values.values()]
        self._mats = {
            name: self._ncnn.Mat(array) for name, array in zip(values, self._held, strict=True)
        }

    def _run(self) -> None:
        extractor = self._net.create_extractor()
        for name, mat in self._mats.items():
            extractor.input(name, mat)
        for port in self.outputs:
            code, self._found[port.name] = extractor.extract(port.name)
            if code:
                raise RuntimeRefused(f"ncnn could not compute {port.name!r} (code {code})")

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        import numpy as np

        with refusals():
            return {name: np.array(mat)[np.newaxis] for name, mat in self._found.items()}

    def coverage(self) -> Delegation | None:
        """See `Session.coverage`."""
        layers = self._net.layers()
        if self._delegate == DEFAULT_DELEGATE:
            return Delegation(
                delegate=self._delegate, operators=len(layers), delegated=0, partitions=0,
                fell_back={}, reason=contract.OWN_KERNELS["cpu"],
            )  # fmt: skip
        left: dict[str, int] = {}
        for layer in layers:
            if not layer.support_vulkan:
                left[layer.type] = left.get(layer.type, 0) + 1
        return Delegation(
            delegate=self._delegate, operators=len(layers), fell_back=left,
            delegated=len(layers) - sum(left.values()), reason="ncnn does not tell partitions",
        )  # fmt: skip

    def used(self) -> dict[str, str]:
        """See `Session.used`."""
        return {"threads": str(self._net.opt.num_threads)}


def _port(name: str, shape: tuple[int, ...] | None) -> Port:
    if shape is None:  # to be given, as channels, height and width
        return Port(name=name, shape=None, dtype="float32", signature=(1, "c", "h", "w"))
    return Port(name=name, shape=(1, *shape), dtype="float32")


def _stated(text: str) -> dict[str, tuple[int, ...]]:
    """The shapes that a network in text states for its inputs, outermost first.

    Some old files name channels, height, width in this order instead of the other one: the first
    convolution's weights tell.
    """
    lines = [line.split() for line in text.splitlines()[2:]]
    found: dict[str, tuple[int, ...]] = {}
    for words in lines:
        if len(words) < 5 or words[0] != "Input":
            continue
        numbers = _numbers(words)
        sizes = [numbers[key] for key in ("2", "11", "1", "0") if numbers.get(key, 0) > 0]
        blob = words[4]
        if sizes:
            found[blob] = tuple(_in_order(sizes, _channels(lines, blob)))
    return found


def _channels(lines: list[list[str]], blob: str) -> int | None:
    """How many channels the convolution takes that reads this blob; None where none does."""
    for words in lines:
        if len(words) > 5 and words[0] == "Convolution" and words[4] == blob:
            numbers = _numbers(words)
            kernel = numbers.get("1", 0) * numbers.get("11", numbers.get("1", 0))
            made = kernel * numbers.get("0", 0)
            return numbers.get("6", 0) // made if made else None
    return None


def _in_order(sizes: list[int], channels: int | None) -> list[int]:
    wrong = channels is not None and len(sizes) == 3 and sizes[0] != channels == sizes[-1]
    return sizes[::-1] if wrong else sizes


def _numbers(words: list[str]) -> dict[str, int]:
    pairs = (word.split("=", 1) for word in words if "=" in word)
    return {key: int(value) for key, value in pairs if value.lstrip("-").isdigit()}
