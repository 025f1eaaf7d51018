"""Formats without a reader: known, so that they are never silently passed over."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from edgewise.formats.unread import unread_format


@pytest.mark.parametrize(
    ("name", "head", "path"),
    [
        ("litertlm", b"LITERTLM", "llm.bin"),
        ("coreml", b"", "Payload/A.app/net.mlmodelc/coremldata.bin"),
        (None, b"", "toc.pb"),  # empty
        (None, b"\n\x07bundletool", "BundleConfig.pb"),
        (None, b"1 2 3\n", "physics.param"),
        (None, b"", "Payload/A.app/net.mlmodelc/model/coremldata.bin"),
        (None, b"", "weights.bin"),
        (None, b"plain text", "notes.txt"),
    ],
)
def test_what_is_known(name: str | None, head: bytes | None, path: str) -> None:
    assert unread_format(head, path) == name


def test_every_format_has_a_source() -> None:
    text = files("edgewise.formats").joinpath("unread.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["format"]
    assert rows
    assert all(row["source"] and row["endings"] for row in rows)
    endings = [ending for row in rows for ending in row["endings"]]
    assert len(endings) == len(set(endings)) and all(e == e.lower() for e in endings)
