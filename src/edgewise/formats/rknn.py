"""RKNN files of Rockchip's toolkits: a header, a compiled body, and a description as JSON.

u32 `RKNN`, u32 0, u64 version, u64 size of the body; from version 2 on the body begins at byte 64;
behind it a u64 length and the JSON (read off files of rknn-toolkit 1 and 2). The description says
what goes in and out, for which chip, and which operators there are; compiled ones say nothing of
what they compute, so multiply-accumulates are not known.
"""

from __future__ import annotations

import json
from typing import Any

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.building import Builder
from edgewise.formats.contract import Level, Sibling
from edgewise.formats.kit import Meaning
from edgewise.graph import Graph, Kind, Tensor

NAME = "rknn"
EXTENSIONS = (".rknn",)
LEVEL: Level = "operators"
SIBLINGS: tuple[Sibling, ...] = ()
LIMITS = {"bytes of the description": 16 << 20, "operators": 100_000}
SOURCES = ("https://github.com/airockchip/rknn-toolkit2",)
MAGIC, ENCRYPTED, EXTENDED = b"RKNN\0\0\0\0", b"CYPTRKNN", b"RKNX"
_BODY_AT = 64
_NEWEST = 255
_COMPILED = "RKNN_OP_NNBG"


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`."""
    if head.startswith((MAGIC, ENCRYPTED, EXTENDED)) or head[4:8] == EXTENDED:
        return 0.9
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: the sizes in the header do not fit the file, or the description is none.
        OpaqueModel: it is encrypted, or has no description.
        LimitExceeded: a description beyond any known file's.
    """
    head = file.head(_BODY_AT)
    if head.startswith(ENCRYPTED):
        raise OpaqueModel("encrypted for Rockchip's runtime")
    if not head.startswith(MAGIC):
        if head.startswith(EXTENDED) or head[4:8] == EXTENDED:
            raise OpaqueModel("compiled for a Rockchip NPU, in a form without a description")
        raise RejectedModel("does not begin with RKNN")
    data = file.data()
    version, size = (int.from_bytes(data[at : at + 8], "little") for at in (8, 16))
    start = _BODY_AT if version & 0xFF > 1 and size else 24
    if len(data) < 24 or version & 0xFF > _NEWEST or start + size + 8 > len(data):
        raise RejectedModel(f"version {version}, a body of {size:,} bytes in {len(data):,}")
    at = start + size
    length = int.from_bytes(data[at : at + 8], "little")
    if at + 8 + length > len(data):
        raise RejectedModel(f"a description of {length:,} bytes beyond the end")
    if length > LIMITS["bytes of the description"]:
        raise LimitExceeded("a description larger than any known one")
    graph = _described(_json(bytes(data[at + 8 : at + 8 + length])))
    graph.metadata |= {"container_version": str(version), "body_bytes": str(size)}
    return graph


def _json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text.rstrip(b"\0"))
    except (ValueError, RecursionError) as error:
        raise RejectedModel(f"the description is no JSON: {error}"[:200]) from error
    if not isinstance(found, dict):
        raise RejectedModel("the description is no JSON object")
    return found


def _described(about: dict[str, Any]) -> Graph:
    """The graph that a description tells: what goes in, the operators, what comes out."""
    nodes = about.get("nodes") or []
    if not isinstance(nodes, list) or len(nodes) > LIMITS["operators"]:
        raise RejectedModel("a description without a list of operators")
    builder = Builder(str(about.get("name", "")))
    try:
        tensors = {entry["tensor_id"]: _tensor(entry) for entry in about.get("norm_tensor", ())}
        ends = [(row["left"], row["right_tensor_id"]) for row in about.get("graph", ())
                if row.get("right") == "norm_tensor"]  # fmt: skip
        made: dict[int, int] = {}
        for _, number in ends:
            if number not in made:
                made[number] = builder.add(tensors[number])
        builder.graph.inputs = [made[number] for side, number in ends if side == "input"]
        builder.graph.outputs = [made[number] for side, number in ends if side == "output"]
        for node in nodes:
            whole = len(nodes) == 1
            builder.layer(
                str(node.get("name", "")), str(node.get("op", "?")),
                Meaning(Kind.UNKNOWN, {"compiled": True}),
                builder.graph.inputs if whole else (), builder.graph.outputs if whole else (),
            )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RejectedModel(f"the description contradicts itself: {error!r}"[:200]) from error
    graph = builder.graph
    graph.format, graph.level = NAME, "operators"
    compiled = any(layer.op == _COMPILED for layer in graph.layers)
    graph.reason = "compiled for the NPU" if compiled else "its operators are named, not described"
    targets = about.get("target_platform")
    graph.metadata = {
        key: str(value) for key, value in (
            ("toolkit", about.get("version")), ("source", about.get("ori_network_platform")),
            ("target", ", ".join(map(str, targets)) if isinstance(targets, list) else targets),
        ) if value
    }  # fmt: skip
    graph.producer = f"rknn-toolkit {about['version']}" if about.get("version") else None
    return graph


def _tensor(entry: dict[str, Any]) -> Tensor:
    sizes = entry["size"]
    if not isinstance(sizes, list) or not all(isinstance(s, int) and s >= 0 for s in sizes):
        raise ValueError("sizes that are none")
    dtype = entry.get("dtype") or {}
    return Tensor(str(entry.get("url", "")), str(dtype.get("vx_type", "unknown")), tuple(sizes))
