"""The optional parts of Edgewise: which module of others each brings, and which are missing."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from edgewise.errors import MissingExtra

#: Modules by the extra of `pyproject.toml` that brings them.
MODULES = {
    "store": ("pyarrow", "duckdb", "pytz", "fsspec"),
    "select": ("numba",),
    "report": ("vl_convert", "pyarrow", "duckdb", "pytz", "fsspec"),
    "litert": ("ai_edge_litert",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
    "ncnn": ("ncnn",),
    "mnn": ("MNN",),
    "executorch": ("executorch", "torch"),
    "llamacpp": ("llama_cpp",),
    "images": ("PIL",),
    "client": ("httpx", "PIL"),
    "serve": ("uvicorn", "starlette", "httptools", "grpc", "google.protobuf", "prometheus_client",
              "httpx", "PIL", "numba"),
    "fetch": ("cryptography", "asn1crypto"),
    "bom": ("cyclonedx",),
    "adb": ("adbutils",),
    "browser": ("cryptography", "segno"),
    "ray": ("ray",),
}  # fmt: skip


def missing(extras: Iterable[str]) -> list[str]:
    """Those of the extras that are not installed, each once, in the order given."""
    return [extra for extra in dict.fromkeys(extras) if missing_modules(extra)]


def missing_modules(extra: str) -> list[str]:
    """Those modules of an extra that are not there."""
    return [module for module in MODULES[extra] if not _is_there(module)]


def check(extras: Iterable[str], needed_for: str) -> None:
    """Say all that is missing at once.

    Raises:
        MissingExtra: names every extra that is not installed.
    """
    if absent := missing(extras):
        raise MissingExtra(",".join(absent), needed_for)


def bringing(module: str) -> str | None:
    """The extra that brings a module; None where none does: its absence is a defect."""
    return next(
        (extra for extra, names in MODULES.items() if module in names or module.partition(".")[0]
         in names),
        None,
    )  # fmt: skip


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package within a package that is not there
        return False
