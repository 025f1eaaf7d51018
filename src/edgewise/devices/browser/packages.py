"""LiteRT.js and onnxruntime-web: the files that the page needs of their npm packages, from no CDN.

`devices prepare browser` takes them from npm's registry at pinned versions, checked against pinned
hashes, or from a `node_modules` folder, into the cache.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgewise.devices.adb.binaries import cache_folder
from edgewise.errors import DeviceError

_REGISTRY = "https://registry.npmjs.org"
_MOST_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Package:
    """One package: version, npm's integrity (sha512), and which of its files are served."""

    version: str
    sha512: str
    files: tuple[str, ...]


PACKAGES: Mapping[str, Package] = {
    "@litertjs/core": Package(
        "2.5.3",
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        (
            "dist/index.js",
            *(
                f"wasm/litert_wasm_{kind}internal.{end}"
                for kind in ("", "threaded_", "jspi_", "compat_")
                for end in ("js", "wasm")
            ),
        ),
    ),
    "@litertjs/wasm-utils": Package(
        "2.5.3",
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        ("dist/index.js",),
    ),
    "onnxruntime-web": Package(
        "1.30.0",
        "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        (
            "dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs",
            "dist/ort-wasm-simd-threaded.wasm",
        ),
    ),
}  # fmt: skip
#: The package behind each runtime's name.
RUNTIMES = {"litert.js": "@litertjs/core", "onnxruntime-web": "onnxruntime-web"}


def cached() -> Path:
    """Where prepared files are kept."""
    return cache_folder() / "browser"


def folder(given: Path | None) -> Path:
    """The folder to serve packages from.

    Raises:
        DeviceError: it lacks a file, with what to do about it.
    """
    where = given or cached()
    for name, package in PACKAGES.items():
        missing = [file for file in package.files[:1] if not (where / name / file).is_file()]
        if missing:
            hint = "edgewise devices prepare browser"
            if given is not None:
                hint = f"npm install {name}@{package.version}"
            raise DeviceError(f"{where} has no {name}/{missing[0]}", hint=hint)
    return where


def version(where: Path, runtime: str) -> str:
    """The version of a runtime's package, as its own file says."""
    import json

    try:
        said = json.loads((where / RUNTIMES[runtime] / "package.json").read_text())
        return str(said["version"])
    except (OSError, ValueError, KeyError):
        return "unknown"


def prepare(given: Path | None, registry: str | None) -> Iterator[str]:
    """Have all files in the cache, telling what is done.

    Raises:
        DeviceError: they cannot be fetched, or are not what was pinned.
    """
    for name, package in PACKAGES.items():
        if given is not None:
            found = _copied(given / name, package, name)
        else:
            found = _fetched(registry or os.environ.get("NPM_CONFIG_REGISTRY") or _REGISTRY, name)
        for file, content in found.items():
            target = cached() / name / file
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.part")
            beside.write_bytes(content)
            beside.replace(target)
        size = sum(map(len, found.values()))
        yield f"{name} {package.version}: {len(found)} files, {size / 1e6:.1f} MB, {cached()}"


def _copied(source: Path, package: Package, name: str) -> dict[str, bytes]:
    try:
        return {file: (source / file).read_bytes() for file in (*package.files, "package.json")}
    except OSError as error:
        raise DeviceError(
            f"{source}: {error.strerror}", hint=f"npm install {name}@{package.version}"
        ) from error


def _fetched(registry: str, name: str) -> dict[str, bytes]:
    package = PACKAGES[name]
    short = name.rpartition("/")[2]
    url = f"{registry.rstrip('/')}/{name}/-/{short}-{package.version}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            data: bytes = answer.read(_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise DeviceError(f"{url}: {error}") from error
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != package.sha512:
        raise DeviceError(f"{url}: its hash is not that of {name} {package.version}")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for file in (*package.files, "package.json"):
            stream = archive.extractfile(f"package/{file}")
            if stream is None:
                raise DeviceError(f"{url}: no {file} in it")
            found[file] = stream.read()
    return found
