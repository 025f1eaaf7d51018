"""Binaries of `benchmark_model`: the user's, or one fetched once into the cache, by ABI."""

from __future__ import annotations

import hashlib
import os
import struct
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from edgewise.errors import DeviceError, InputError, RuntimeRefused

#: Where people put it by hand.
ON_THE_PHONE = (
    "/data/local/tmp/benchmark_model", "/data/local/tmp/bin/benchmark_model",
)  # fmt: skip
#: TensorFlow Lite's nightly builds, by ABI.
_URL = (
    "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/"
    "nightly/latest/android_{0}_benchmark_model"
)
_NAMES: Mapping[str, str] = {
    "arm64-v8a": "aarch64", "armeabi-v7a": "arm", "x86_64": "x86_64", "x86": "x86",
}  # fmt: skip
#: Machine numbers of ELF.
_MACHINES: Mapping[int, str] = {183: "arm64-v8a", 40: "armeabi-v7a", 62: "x86_64", 3: "x86"}
_MOST_BYTES = 256 << 20


def cache_folder() -> Path:
    """Where fetched files are kept: `$XDG_CACHE_HOME/edgewise`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgewise"


def cached(abi: str | None) -> Path | None:
    """The fetched binary for an ABI."""
    file = cache_folder() / "benchmark_model" / f"{abi}" / "benchmark_model"
    return file if file.is_file() else None


def read(file: Path, abi: str | None) -> bytes:
    """A binary's content.

    Raises:
        InputError: it cannot be read.
        RuntimeRefused: it is for another ABI than the phone's.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    made_for = machine(content)
    if made_for is not None and abi is not None and made_for != abi:
        raise RuntimeRefused(f"{file.name} is for {made_for}, the phone runs {abi}")
    return content


def machine(content: bytes) -> str | None:
    """The ABI that an ELF file is for, None where it is none (a script)."""
    if len(content) < 20 or content[:4] != b"\x7fELF":
        return None
    (number,) = struct.unpack_from("<H", content, 18)
    return _MACHINES.get(number, f"machine {number}")


def fetch(abi: str, url: str | None = None) -> tuple[Path, str]:
    """Fetch the binary for an ABI into the cache; its file and its sha256.

    Raises:
        DeviceError: there is none for this ABI, or it cannot be fetched.
    """
    if url is None:
        if abi not in _NAMES:
            raise DeviceError(f"no benchmark_model is published for {abi}")
        url = _URL.format(_NAMES[abi])
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            content: bytes = answer.read(_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise DeviceError(f"{url}: {error}") from error
    file = cache_folder() / "benchmark_model" / abi / "benchmark_model"
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    beside.write_bytes(content)
    beside.chmod(0o755)
    beside.replace(file)
    return file, hashlib.sha256(content).hexdigest()
