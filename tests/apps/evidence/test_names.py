"""Names of models, as packages have them and as code writes them."""

from __future__ import annotations

import pytest

from edgewise.apps.evidence import names
from edgewise.apps.evidence.matching import Found, Patterns
from edgewise.records import Model


def model(path: str) -> Model:
    return Model(path=path, format="tflite", size_bytes=1, status="parsed")


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("a.apk!/assets/models/m.tflite",
         {"assets/models/m.tflite", "models/m.tflite", "m.tflite"}),
        ("a.aab!/base/assets/m.tflite", {"base/assets/m.tflite", "m.tflite"}),
        ("a.apks!/base.apk!/res/raw/detector", {"res/raw/detector", "detector"}),
        ("a.apk!/res/raw/net", {"res/raw/net"}),  # a short name is a common word
        ("a.apk!/assets/pack.bin@4096", {"assets/pack.bin", "pack.bin"}),
    ],
)  # fmt: skip
def test_how_code_may_write_a_models_name(path: str, written: set[str]) -> None:
    assert names.written_as(model(path)) == written


@pytest.mark.parametrize(
    "text",
    ["m.tflite", "models/m.tflite", "file:///android_asset/models/m.tflite", "asset:m.tflite",
     "./m.tflite", "flutter_assets/m.tflite"],
)  # fmt: skip
def test_a_text_that_names_a_model_does_so_whatever_leads_to_it(text: str) -> None:
    found = names.named(model("a.apk!/assets/models/m.tflite"), [text, "other.tflite", "m"])
    assert found == {text}


@pytest.mark.parametrize(
    ("text", "seems", "elsewhere", "fetched"),
    [
        ("M.TFLITE", True, False, False),
        ("https://x.org/m.tflite?v=2", True, True, True),
        ("http://x.org/m.bin", True, True, False),  # too common an ending for an address
        ("ftp://x.org/m.tflite", True, False, False),
        ("/sdcard/m.onnx", True, True, False),
        ("file:///android_asset/m.onnx", True, False, False),
        ("labels.txt", False, False, False),
        ("see m.tflite\nm.tflite", False, False, False),
        ("", False, False, False),
    ],
)
def test_what_a_constant_names(text: str, seems: bool, elsewhere: bool, fetched: bool) -> None:
    assert names.seems_model(text) == seems
    assert names.is_elsewhere(text) == elsewhere
    assert names.to_fetch(text) == fetched


@pytest.mark.parametrize(
    ("path", "can"),
    [
        ("a.apk!/assets/m.tflite", True),
        ("a.apk!/assets/detector", True),
        ("a.apk!/assets/net", False),
        ("a.apk!/res/raw/m.tflite", False),  # by its number
        ("a.apk!/assets/pack.bin@4096", False),
    ],
)
def test_which_models_code_has_to_name(path: str, can: bool) -> None:
    assert names.can_be_named(model(path)) == can


def test_many_patterns_are_found_at_once() -> None:
    patterns = Patterns([b"net", b"internet", b"absent"])
    assert set(patterns.find(b"internet")) == {Found(1, 0), Found(0, 5)}
    assert patterns.find(memoryview(b"a net"), all_of_them=False) == [Found(0, 2)]
    assert patterns.find(b"") == [] and Patterns([]).find(b"net") == []
