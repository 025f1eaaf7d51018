"""Safetensors, GGUF and ggml: weights without a network."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from held_files import Held, inspected

from edgewise.archive import open_file
from edgewise.formats import ggml, gguf, safetensors
from edgewise.graph import Kind


def safe(header: dict[str, Any] | str, payload: bytes = b"") -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + payload


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_safetensors_groups_tensors_by_layer_and_counts_them() -> None:
    payload = struct.pack("<6f", 1, 0, 0, 2, 3, 4)
    model = inspected(
        "m.safetensors",
        safe({"fc.weight": entry([2, 2], 0, 16), "fc.bias": entry([2], 16, 24),
              "__metadata__": {"format": "pt"}}, payload),
    )  # fmt: skip
    assert (model.status, model.layers, model.parameters) == ("parsed", 1, 6)
    assert model.macs is None and model.peak_activation_bytes is None
    assert model.level == "operators" and model.metadata == {"format": "pt"}
    assert model.zero_fraction == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("header", "size", "reason"),
    [
        ('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
         '"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4, "'w' stands twice"),
        ({"w": entry([1 << 40, 1 << 40], 0, 32)}, 32, "does not fit"),
        ({"w": entry([2], 0, 8), "v": entry([2], 4, 12)}, 12, "overlaps"),
        ({"w": entry([2], 0, 8)}, 4, "beyond the end"),
        ({"w": entry([-1], 0, 8)}, 8, "whole numbers"),
        ("[1, 2]", 0, "no JSON object"),
        ("{" * 5000, 0, "no JSON"),
    ],
)  # fmt: skip
def test_safetensors_that_contradict_themselves_are_rejected(
    header: dict[str, Any] | str, size: int, reason: str
) -> None:
    model = inspected("m.safetensors", safe(header, bytes(size)))
    assert model.status == "rejected"
    assert reason in (model.reason or "")


def test_bytes_that_no_tensor_owns_are_told() -> None:
    model = inspected("m.safetensors", safe({"w": entry([2], 8, 16)}, bytes(80)))
    assert model.parameters == 2
    assert "72 bytes belong to no tensor" in model.notes


def test_only_a_json_header_is_safetensors() -> None:
    assert safetensors.recognise(safe({"w": entry([1], 0, 4)}), "any.bin") > 0.5
    assert safetensors.recognise(b"\x10" + bytes(40), "any.bin") == 0
    assert safetensors.recognise(b"PK\x03\x04" + bytes(40), "x.safetensors") < 0.5


def text(value: str, wide: str = "<Q") -> bytes:
    return struct.pack(wide, len(value)) + value.encode()


def gguf_file(
    tensors: list[tuple[str, list[int], int, bytes]], version: int = 3, order: str = "<",
    keys: bytes = b"", count: int = 0,
) -> bytes:  # fmt: skip
    long, length = ("I", "I") if version == 1 else ("Q", "Q")
    head = b"GGUF" + struct.pack(f"{order}I{long}{long}", version, len(tensors), count) + keys
    payload = b""
    for name, dims, kind, data in tensors:
        head += text(name, order + length) + struct.pack(f"{order}I", len(dims))
        head += struct.pack(f"{order}{len(dims)}{long}", *dims)
        head += struct.pack(f"{order}IQ", kind, len(payload))
        payload += data + bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + payload


@pytest.mark.parametrize(("version", "order"), [(1, "<"), (2, "<"), (3, "<"), (3, ">")])
def test_every_version_and_byte_order_of_gguf(version: int, order: str) -> None:
    data = struct.pack(f"{order}6f", *range(6))
    content = gguf_file([("blk.0.w.weight", [3, 2], 0, data)], version, order)
    graph = gguf.read(Held("m.gguf", content))
    (tensor,) = graph.tensors
    assert tensor.shape == (2, 3)
    assert tensor.array().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_blocks_of_gguf_have_their_own_scales() -> None:
    content = gguf_file([("a.weight", [64, 2], 2, bytes(4 * 18))])
    model = inspected("m.gguf", content)
    assert (model.parameters, model.quantization) == (128, "weights")
    assert model.weight_dtypes == {"q4_0": 72}


def test_what_a_language_model_takes_per_token() -> None:
    keys = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    keys += text("llama.block_count") + struct.pack("<II", 4, 1)
    tensors = [("token_embd.weight", [4, 10]), ("blk.0.attn_q.weight", [4, 4]), ("n.weight", [4])]
    content = gguf_file([(n, d, 0, bytes(160)) for n, d in tensors], keys=keys, count=2)
    graph = gguf.read(Held("m.gguf", content))
    assert graph.metadata["macs_per_token_linear"] == str(4 * 10 + 4 * 4)  # the table is tied


@pytest.mark.parametrize(
    "content",
    [
        gguf_file([("w", [3, 2, 1, 1, 1], 0, bytes(24))]),
        gguf_file([("w", [1152, (1 << 42) + 1], 0, bytes(24))]),
        gguf_file([("w", [33], 2, bytes(18))]),
        gguf_file([], keys=text("k") + struct.pack("<IIQ", 9, 4, 1 << 61), count=1),
        gguf_file([], keys=text("general.alignment") + struct.pack("<Ii", 5, -8), count=1),
        gguf_file([("w", [8], 0, bytes(32))])[:-8],
    ],
)
def test_gguf_that_does_not_fit_is_rejected(content: bytes) -> None:
    assert inspected("m.gguf", content).status == "rejected"


def test_whisper_before_gguf() -> None:
    sizes = struct.pack("<11i", 2, 5, 4, 2, 1, 5, 4, 2, 1, 3, 1)
    words = struct.pack("<i", 2) + struct.pack("<i", 1) + b"a" + struct.pack("<i", 2) + b"bc"
    tensor = struct.pack("<3i", 2, 1, 1) + struct.pack("<2i", 4, 3) + b"w" + bytes(24)
    content = b"lmgg" + sizes + struct.pack("<2i", 3, 2) + bytes(24) + words + tensor
    assert ggml.recognise(content, "x.bin") > 0.5
    model = inspected("x.bin", content)
    assert (model.status, model.parameters) == ("parsed", 12)
    assert model.metadata["architecture"] == "whisper"
    assert inspected("x.bin", content[:-1]).status == "rejected"
    assert ggml.recognise(b"lmgg" + bytes(60), "x.bin") == 0


@pytest.mark.corpus
def test_files_of_others(corpus: Path) -> None:
    known = corpus.parent / "known" / "gguf"
    for path in known.glob("tiny_llama*.gguf"):
        graph = gguf.read(open_file(str(path)))
        assert graph.metadata["macs_per_token_linear"] == "88064"
        assert all(layer.kind is Kind.WEIGHTS for layer in graph.layers)
