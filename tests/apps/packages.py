"""Packages as the tests need them, with models that come with the package Edgewise itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import compiled
from compiled import DECIMAL, STRING

DIGITS = files("edgewise.demo") / "data" / "digits"
TFLITE = (DIGITS / "digits-xxs.tflite").read_bytes()
OTHER_TFLITE = (DIGITS / "digits-xs.tflite").read_bytes()
ONNX = (DIGITS / "digits-s.onnx").read_bytes()


def manifest(package: str = "a.b", split: str | None = None) -> bytes:
    root: dict[str, compiled.Typed] = {"versionCode": (DECIMAL, 1), "package": (STRING, package)}
    if split is not None:
        root["split"] = (STRING, split)
    return compiled.manifest([("manifest", root)])


def zipped(entries: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def apk(entries: Mapping[str, bytes] | None = None, split: str | None = None) -> bytes:
    return zipped({"AndroidManifest.xml": manifest(split=split), **(entries or {})})


def written(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)
