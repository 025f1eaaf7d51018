"""pnnx: torch's operators in ncnn's text, weights in a zip."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.formats import registry
from edgewise.records import Model

NET = """7767517
5 4
pnnx.Input in 0 1 0 #0=(1,3,8,10)f32
nn.Conv2d c 1 1 0 1 kernel_size=(3,3) stride=(2,2) padding=(1,1) dilation=(1,1) groups=1 \
@bias=(4)f32 @weight=(4,3,3,3)f32 #0=(1,3,8,10)f32 #1=(1,4,4,5)f32
Tensor.reshape r 1 1 1 2 shape=(1,20,4) #1=(1,4,4,5)f32 #2=(1,20,4)f32
nn.MultiheadAttention m 1 1 2 3 batch_first=True embed_dim=4 num_heads=2 \
@in_proj_weight=(12,4)f32 @in_proj_bias=(12)f32 @out_proj.weight=(4,4)f32 @out_proj.bias=(4)f32 \
#2=(1,20,4)f32 #3=(1,20,4)f32
pnnx.Output out 1 0 3
"""


def inspect(path: Path) -> Model:
    return summarise(open_file(str(path)))


def test_a_network_and_its_zip(tmp_path: Path) -> None:
    path = tmp_path / "net.pnnx.param"
    path.write_text(NET)
    with zipfile.ZipFile(tmp_path / "net.pnnx.bin", "w") as archive:
        archive.writestr("c.weight", bytes(432))
    model = inspect(path)
    assert (model.format, model.status, model.notes) == ("pnnx", "parsed", ())
    assert model.macs == 20 * 108 + 20 * 4 * 16 + 2 * 20 * 20 * 4
    assert model.parameters == 112 + 48 + 12 + 16 + 4


def test_a_module_of_the_networks_own_makes_the_count_unknown(tmp_path: Path) -> None:
    path = tmp_path / "net.pnnx.param"
    path.write_text(NET.replace("nn.MultiheadAttention", "mine.Attention"))
    model = inspect(path)
    assert (model.macs, model.macs_known) == (None, 2160)


@pytest.mark.parametrize("broken", [NET[:300], NET.replace("(1,20,4)f32", "(1,20,x)f32")])
def test_what_is_broken_is_rejected(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "net.pnnx.param"
    path.write_text(broken)
    assert inspect(path).status == "rejected"


def test_ncnn_and_pnnx_are_told_apart() -> None:
    fmt = registry.recognise(NET.encode()[:512], "net.param")
    assert fmt is not None and fmt.NAME == "pnnx"
