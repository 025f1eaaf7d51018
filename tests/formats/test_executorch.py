"""ExecuTorch programs and what lies in their delegates' blobs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from held_files import Held, inspected

from edgewise.formats import executorch
from edgewise.formats.executorch.blob import parts


def test_it_is_recognised_by_its_identifier() -> None:
    head = b"\x3c\0\0\0ET12eh00\x20\0\0\0" + bytes(48)
    assert executorch.recognise(head, "assets/a7") > 0.5
    assert executorch.recognise(b"\x3c\0\0\0TFL3" + bytes(48), "a.tflite") == 0


@pytest.mark.parametrize("size", [16, 40, 64])
def test_a_file_that_ends_early_is_rejected(size: int) -> None:
    content = b"\x3c\0\0\0ET12eh00\x20\0\0\0" + (1 << 40).to_bytes(8, "little") * 2 + bytes(64)
    assert inspected("m.pte", content[:size]).status == "rejected"


def test_parts_of_a_blob_lie_inside_it() -> None:
    header = bytes(4) + b"XH00" + (30).to_bytes(2, "little") + (30).to_bytes(4, "little")
    header += (8).to_bytes(4, "little") + (38).to_bytes(4, "little") + (4).to_bytes(8, "little")
    graph, constants = parts(memoryview(header + b"flatbuff" + b"data"), b"XH00")
    assert (bytes(graph), bytes(constants)) == (b"flatbuff", b"data")
    with pytest.raises(ValueError, match="beyond"):
        parts(memoryview(header + b"flatbuff"), b"XH00")


MACS = {"mixcnn": 6_058_184, "miniattn": 327_680}


@pytest.mark.corpus
@pytest.mark.parametrize("network", list(MACS))
@pytest.mark.parametrize("form", ["portable", "xnnpack", "xnnpack_int8", "vulkan", "coreml"])
def test_every_delegate_gives_the_count_of_the_network(
    corpus: Path, network: str, form: str
) -> None:
    path = corpus.parent / "known/rosetta" / network / "executorch" / f"{network}__base.{form}.pte"
    found = inspected(path.name, path.read_bytes())
    assert found.status == "parsed", found.reason
    assert found.macs == MACS[network]
    if form != "portable":
        assert found.ops["DelegateCall"] >= 1
    if form == "xnnpack_int8":
        assert found.weight_dtypes["int8"] > 0


@pytest.mark.corpus
def test_a_delegate_that_nobody_reads_makes_the_count_unknown(corpus: Path) -> None:
    path = corpus.parent / "known/rosetta/mixcnn/executorch/mixcnn__base.vulkan.pte"
    content = path.read_bytes().replace(b"VulkanBackend", b"SecretBackend")
    found = inspected("m.pte", content)
    assert found.status == "parsed" and found.macs is None
    assert any("SecretBackend" in note for note in found.notes)


@pytest.mark.corpus
def test_weights_of_a_blob_are_those_of_the_program(corpus: Path) -> None:
    folder = corpus.parent / "known/rosetta/mixcnn/executorch"

    def sums(form: str) -> set[float]:
        content = (folder / f"mixcnn__base.{form}.pte").read_bytes()
        graphs = [executorch.read(Held("m.pte", content))]
        graphs += [body for layer in graphs[0].layers for body in layer.bodies]
        stored = [t for g in graphs for t in g.tensors if t.weights is not None]
        return {round(float(t.array().sum()), 4) for t in stored if len(t.shape or ()) == 2}

    assert sums("portable") & sums("xnnpack")


@pytest.mark.corpus
def test_the_shorter_header_is_read_alike(corpus: Path) -> None:
    known = corpus.parent / "known"
    old = inspected("m.pte", (known / "fields/header24.pte").read_bytes())
    path = known / "rosetta/mixcnn/executorch/mixcnn__base.portable.pte"
    new = inspected("m.pte", path.read_bytes())
    assert (old.macs, old.ops) == (new.macs, new.ops)
    assert not any(re.search("taken from the file", note) for note in new.notes)
