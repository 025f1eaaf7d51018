"""Which names are served, and which variants can take an input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import InputError
from edgewise.protocol.messages import BadRequest, Tensor, UnknownModel
from edgewise.records import Port
from edgewise.server.catalogue import Catalogue, described, load

_SMALL = ((Port(name="x", shape=(1, 4), dtype="float32"),), (Port(name="y", shape=(1, 2), dtype="float32"),))  # fmt: skip  # noqa: E501
_BYTES = ((Port(name="in", shape=(1, 4), dtype="float32"),), (Port(name="out", shape=(1, 2), dtype="int8"),))  # fmt: skip  # noqa: E501
_WIDE = ((Port(name="x", shape=(1, 8), dtype="float32"),), (Port(name="y", shape=(1, 2), dtype="float32"),))  # fmt: skip  # noqa: E501


def _family(folder: Path, name: str, variants: str, kind: str = "tensor") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f'name = "{name}"\n[input]\nkind = "{kind}"\n']
    for variant in variants.split():
        (folder / f"{variant}.onnx").write_bytes(b"")
        parts.append(f'[[variant]]\nname="{variant}"\nfile="{variant}.onnx"\naccuracy=90\n')
    path = folder / "family.toml"
    path.write_text("\n".join(parts))
    return path


def _two(tmp_path: Path, kind: str = "tensor") -> Catalogue:
    found = load([_family(tmp_path, "f", "small quantised", kind)])
    return described(found, {"f/small": _SMALL, "f/quantised": _BYTES})


def _tensor(values: np.ndarray, name: str = "whatever", datatype: str = "FP32") -> Tensor:
    return Tensor(name, datatype, values.shape, values)


def test_a_family_and_its_variants_are_models(tmp_path: Path) -> None:
    served = _two(tmp_path)
    assert served.names == ["f", "small", "quantised"]
    family, pinned = served.find("quantised", "1")
    assert family.family.name == "f"
    assert pinned is not None
    assert pinned.key == "f/quantised"


def test_a_name_that_two_families_have_carries_its_family(tmp_path: Path) -> None:
    found = load([_family(tmp_path / "a", "a", "s"), _family(tmp_path / "b", "b", "s t")])
    assert found.names == ["a", "b", "a.s", "b.s", "t"]


def test_unknown_names_and_versions_say_what_there_is(tmp_path: Path) -> None:
    served = _two(tmp_path)
    with pytest.raises(UnknownModel, match=r"no model 'g' .*f, small, quantised"):
        served.find("g")
    with pytest.raises(UnknownModel, match="no version '2'"):
        served.find("f", "2")


def test_variants_that_differ_in_type_speak_float(tmp_path: Path) -> None:
    served = _two(tmp_path)
    assert [(t.name, t.datatype) for t in served.metadata("f").outputs] == [("y", "FP32")]
    assert served.metadata("quantised").outputs[0].datatype == "INT8"
    family, _ = served.find("f")
    raw = (_tensor(np.array([[-128, 127]], np.int8), "out", "INT8"),)
    (given,) = family.variants["quantised"].answer(raw, family.outputs, raw=False)
    assert (given.name, given.datatype) == ("y", "FP32")
    np.testing.assert_allclose(given.values, [[0.0, 255 / 256]])


def test_integers_with_a_scale_are_real_values_in_a_family(tmp_path: Path) -> None:
    of = load([_family(tmp_path, "f", "small wide")])
    outputs = {
        "f/small": Port(name="y", shape=(1, 2), dtype="int8", scale=0.5, zero_point=10),
        "f/wide": Port(name="y", shape=(1, 2), dtype="int8", scale=0.25, zero_point=0),
    }
    x = Port(name="x", shape=(1, 2), dtype="float32")
    catalogue = described(of, {key: ((x,), (y,)) for key, y in outputs.items()})
    family = catalogue.families["f"]
    for model in ("f", "small", "wide"):
        assert [each.datatype for each in catalogue.metadata(model).outputs] == ["FP32"]
    raw = (Tensor("y", "INT8", (1, 2), np.array([[12, 8]], np.int8)),)
    for name, values in (("small", [[1.0, -1.0]]), ("wide", [[3.0, 2.0]])):
        variant = family.variants[name]
        for like in (family.outputs, variant.answers):
            (given,) = variant.answer(raw, like, raw=False)
            assert (given.datatype, given.values.tolist()) == ("FP32", values)
        assert variant.answer(raw, variant.answers, raw=True) == raw


def test_a_tensor_goes_to_the_variants_that_take_it(tmp_path: Path) -> None:
    family, _ = _two(tmp_path).find("f")
    assert family.eligible((_tensor(np.zeros((1, 4), np.float32)),), ()) is None
    with pytest.raises(BadRequest, match=r"'whatever' FP32 \[1, 5\] fits no variant of 'f'"):
        family.eligible((_tensor(np.zeros((1, 5), np.float32)),), ())
    with pytest.raises(BadRequest, match="no output 'z'"):
        family.eligible((_tensor(np.zeros((1, 4), np.float32)),), ("z",))


def test_of_a_family_of_images_a_tensor_fits_some(tmp_path: Path) -> None:
    found = load([_family(tmp_path, "f", "small wide", "image")])
    family, _ = described(found, {"f/small": _SMALL, "f/wide": _WIDE}).find("f")
    assert family.eligible((_tensor(np.zeros((1, 8), np.float32)),), ()) == frozenset({"wide"})
    image = Tensor("image", "BYTES", (1,), (b"\xff\xd8",))
    assert family.eligible((image,), ()) is None
    with pytest.raises(BadRequest, match="one encoded image"):
        family.eligible((Tensor("image", "BYTES", (2,), (b"a", b"b")),), ())


def test_variants_that_take_tensors_have_to_take_the_same(tmp_path: Path) -> None:
    found = load([_family(tmp_path, "f", "small wide")])
    with pytest.raises(InputError, match=r"'small'.*'wide'"):
        described(found, {"f/small": _SMALL, "f/wide": _WIDE})


def test_a_variant_without_accuracy_is_refused_at_once(tmp_path: Path) -> None:
    path = _family(tmp_path, "f", "small wide")
    path.write_text(path.read_text().replace("accuracy=90", "", 1))
    with pytest.raises(InputError, match=r"'small' .* has no accuracy .*edgewise eval"):
        load([path])


def test_a_variant_alone_needs_no_accuracy(tmp_path: Path) -> None:
    path = _family(tmp_path, "f", "small")
    path.write_text(path.read_text().replace("accuracy=90", ""))
    assert load([path]).families["f"].variants["small"].variant.accuracy is None


def test_two_families_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = [_family(tmp_path / "a", "f", "s"), _family(tmp_path / "b", "f", "t")]
    with pytest.raises(InputError, match="two families are named 'f'"):
        load(paths)
