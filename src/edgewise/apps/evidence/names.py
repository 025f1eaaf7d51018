"""Names of models: in packages, and as code writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgewise.records import Model

#: How names of models end. Of these, code that gives one to a loader loads a model.
ENDINGS = (
    ".tflite", ".lite", ".tfl", ".onnx", ".ort", ".pt", ".ptl", ".pth", ".pte", ".gguf", ".ggml",
    ".task", ".litertlm", ".param", ".bin", ".mnn", ".ms", ".nb", ".dlc", ".pb", ".caffemodel",
    ".prototxt", ".tnnproto", ".tnnmodel", ".mlmodel", ".mlmodelc", ".mlpackage", ".om", ".rknn",
    ".h5", ".keras", ".safetensors", ".cfg", ".weights", ".t7", ".net", ".xml", ".model", ".mdl",
    ".pdmodel", ".tmfile", ".ppn", ".rhn", ".pv", ".json",
)  # fmt: skip
#: Of these, names so specific that a URL ending so is that of a model.
FETCHED = (
    b".tflite", b".onnx", b".ort", b".ptl", b".pte", b".gguf", b".litertlm", b".task", b".mnn",
    b".caffemodel", b".mlmodel", b".safetensors", b".dlc", b".tnnmodel",
)  # fmt: skip
_LEAD = re.compile(r"^(?:file:/+android_asset/|asset:/*|assets?://|\./|flutter_assets/)*")
_FOLDERS = re.compile(r"^(?:[^/]+/)?(?:assets|res/raw)/")


def seems_model(text: str) -> bool:
    """Whether a constant that reaches a loader names a model (and no labels, no setting)."""
    return text.lower().partition("?")[0].endswith(ENDINGS) and "\n" not in text


def is_elsewhere(text: str) -> bool:
    """Whether a path is one of the device's files, or an address: nothing of the package."""
    return _LEAD.sub("", text) == text and text.startswith(("/", "http:", "https:"))


def written_as(model: Model) -> set[str]:
    """How code may write the name of a model of the package: its path from the assets on, and its
    last part where that is no common word."""
    inside = entry_name(model.path)
    name = inside.rpartition("/")[2]
    found = {inside, _FOLDERS.sub("", inside)}
    if "." in name or len(name) > 5:
        found.add(name)
    return {text for text in found if len(text) > 3}


def entry_name(path: str) -> str:
    """The path of an entry in its innermost container."""
    return path.rpartition("!/")[2].partition("@")[0]


def named(model: Model, texts: Iterable[str]) -> set[str]:
    """Those of some texts that name a model."""
    known = written_as(model)
    return {text for text in texts if _LEAD.sub("", text) in known}


def to_fetch(text: str) -> bool:
    """Whether a text is the address of a model to fetch."""
    address = text.lower()
    return address.startswith(("http://", "https://")) and address.partition("?")[0].endswith(
        tuple(ending.decode() for ending in FETCHED)
    )


def can_be_named(model: Model) -> bool:
    """Whether code has to write a model's name to get to it: resources are known by number, and a
    short name without an ending is a common word."""
    inside = entry_name(model.path)
    name = inside.rpartition("/")[2]
    return "assets/" in f"/{inside}" and ("." in name or len(name) > 5) and "@" not in model.path
