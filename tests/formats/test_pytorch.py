"""PyTorch's files: weights alone, TorchScript, and what must never be run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from held_files import inspected
from pytorch_models import Array, Made, Name, archive, floats, pickled

from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.errors import RejectedModel
from edgewise.formats import pytorch
from edgewise.formats.pytorch.pickled import Global, Stored
from edgewise.formats.pytorch.unpickle import unpickle
from edgewise.records import Model


def inspect(path: str, **shapes: tuple[int, ...]) -> Model:
    return summarise(open_file(path), weights=True, shapes=shapes or None)


STATE = {"conv.weight": Array("0", (2, 1, 3, 3)), "conv.bias": Array("1", (2,))}


def test_a_state_dict_is_listed_by_layer(tmp_path: Path) -> None:
    entries = {"data.pkl": pickled(STATE), "data/0": floats(*range(18)), "data/1": floats(0, 1)}
    model = inspect(archive(tmp_path / "net.pth", entries))
    assert (model.status, model.layers, model.parameters) == ("parsed", 1, 20)
    assert model.macs is None and model.level == "operators"
    assert model.zero_fraction == pytest.approx(2 / 20)


def test_the_older_stream_holds_the_same(tmp_path: Path) -> None:
    magic = pickled(0x1950A86A20F9469CFC6C)
    head = magic + pickled(1001) + pickled({"little_endian": True}) + pickled(STATE)
    head += pickled(["0", "1"])
    storages = b"".join(
        len(values).to_bytes(8, "little") + floats(*values) for values in (range(18), range(2))
    )
    model = inspected("net.pth", head + storages)
    assert (model.status, model.parameters) == ("parsed", 20)
    assert inspected("net.pth", head + storages[:-1]).status == "rejected"


def test_what_belongs_to_training_is_left_out(tmp_path: Path) -> None:
    checkpoint = {"state_dict": STATE, "optimizer": {"step": Array("2", (500,))}, "epoch": 3}
    entries = {"data.pkl": pickled(checkpoint), "data/0": bytes(72), "data/1": bytes(8)}
    model = inspect(archive(tmp_path / "c.pt", entries | {"data/2": bytes(2000)}))
    assert model.parameters == 20
    assert any("optimizer" in note for note in model.notes)


def test_a_module_pickled_whole_names_its_classes(tmp_path: Path) -> None:
    inner = Made(Name("torch.nn.modules.conv", "Conv2d"),
                 {"_parameters": {"weight": Array("0", (2, 1, 3, 3))}, "_modules": {}})  # fmt: skip
    outer = Made(Name("mine", "Net"), {"_parameters": {}, "_modules": {"stem": inner}})
    model = inspect(archive(tmp_path / "m.pt", {"data.pkl": pickled(outer), "data/0": bytes(72)}))
    assert model.ops == {"Conv2d": 1}
    assert any("mine.Net" in note for note in model.notes)


@pytest.mark.parametrize("call", [Name("posix", "system"), Name("builtins", "eval")])
def test_nothing_is_ever_called(call: Name) -> None:
    body = f"c{call.module}\n{call.name}\n".encode() + b"(X\x01\x00\x00\x00atR."
    with pytest.raises(RejectedModel, match=f"{call.module}.{call.name}"):
        unpickle(memoryview(b"\x80\x02" + body))
    model = inspected("evil.pth", b"\x80\x02" + body)
    assert model.status == "rejected" and str(call.name) in (model.reason or "")


def test_an_unknown_call_is_described_and_named() -> None:
    found = unpickle(memoryview(pickled(Made(Name("numpy", "dtype"), {"a": 1}))))
    assert found.names == {Global("numpy", "dtype")}


def test_a_transposed_view_gives_its_values(tmp_path: Path) -> None:
    class Turned(Array):
        strides = property(lambda self: (1, 3))  # type: ignore[assignment]

    entries = {"data.pkl": pickled({"w": Turned("0", (3, 2))}), "data/0": floats(*range(6))}
    file = open_file(archive(tmp_path / "t.pt", entries))
    (tensor,) = pytorch.read(file).tensors
    assert tensor.array().tolist() == np.arange(6).reshape(2, 3).T.tolist()


def test_a_tensor_beyond_its_storage_is_rejected(tmp_path: Path) -> None:
    path = archive(tmp_path / "b.pt", {"data.pkl": pickled(STATE), "data/0": bytes(71)})
    assert inspect(path).status == "rejected"


CODE = """
class Net(Module):
  __parameters__ = ["weight", ]
  weight : Tensor
  fc : __torch__.net.Linear
  training : bool
  def forward(self: __torch__.net.Net,
    x: Tensor,
    scale: Optional[float]=None) -> Tuple[Tensor, Tensor]:
    fc = self.fc
    if torch.ne(torch.dim(x), 4):
      ops.prim.RaiseException("4D wanted", "builtins.ValueError")
    else:
      pass
    y = torch.conv2d(x, self.weight, None, [1, 1], [1, 1], [1, 1], 1)
    sizes = annotate(List[int], [])
    for i in range(2):
      _0 = torch.append(sizes, torch.size(y, torch.add(i, 1)))
    a, b, = torch.split(y, 2, 1)
    z = torch.flatten(torch.relu_(torch.add(a, b)), 1)
    if torch.gt(torch.size(x, 3), 2):
      w = (fc).forward(z, )
    else:
      w = z
    return (w, torch.reshape(y, [1, torch.mul(sizes[0], sizes[1]), -1]))
class Linear(Module):
  weight : Tensor
  def forward(self: __torch__.net.Linear,
    x: Tensor) -> Tensor:
    return torch.linear(x, self.weight, CONSTANTS.c0)
"""


def script(path: Path, code: str = CODE, traced: bool = False) -> str:
    tree = Made(Name("__torch__.net", "Net"), {
        "weight": Array("0", (4, 3, 3, 3)), "training": False,
        "fc": Made(Name("__torch__.net", "Linear"), {"weight": Array("1", (5, 128))}),
    })  # fmt: skip
    entries = {
        "data.pkl": pickled(tree), "code/__torch__/net.py": code.encode(),
        "constants.pkl": pickled((Array("0", (5,)),)), "constants/0": bytes(20),
        "data/0": bytes(432), "data/1": bytes(2560),
    }  # fmt: skip
    if traced:
        entries["traced_inputs.pkl"] = pickled({"forward": [Array("9", (1, 3, 8, 8))]})
    return archive(path, entries)


CONV, LINEAR = 8 * 8 * 4 * 27, 128 * 5


def test_code_is_followed_through_modules_loops_and_branches(tmp_path: Path) -> None:
    model = inspect(script(tmp_path / "s.pt", traced=True))
    assert model.status == "parsed", model.reason
    assert model.macs == CONV + LINEAR
    assert model.parameters == 108 + 640 + 5
    assert [port.shape for port in model.outputs] == [(1, 5), (1, 32, 8)]
    assert model.inputs[0].shape == (1, 3, 8, 8)


def test_without_a_traced_shape_the_user_says_it(tmp_path: Path) -> None:
    path = script(tmp_path / "s.pt")
    assert inspect(path).macs is None
    assert any("--shape x" in note for note in inspect(path).notes)
    assert inspect(path, x=(1, 3, 8, 8)).macs == CONV + LINEAR


def test_what_is_not_understood_makes_the_count_unknown(tmp_path: Path) -> None:
    code = CODE.replace("torch.relu_(", "ops.mine.secret(")
    model = inspect(script(tmp_path / "s.pt", code, traced=True))
    assert model.macs is None and any("mine::secret" in note for note in model.notes)


def test_code_under_another_setting_is_followed(tmp_path: Path) -> None:
    code = CODE.replace(
        "    y = torch.conv2d(", "    _1 = annotate(int, 0)\n    with _1:\n      y = torch.conv2d("
    )
    assert inspect(script(tmp_path / "s.pt", code, traced=True)).macs == CONV + LINEAR


def test_an_exported_program_with_checks_names_and_settings(tmp_path: Path) -> None:
    """As `torch.export` writes arguments by name, checks of what it assumes, parts without
    gradients."""

    def named(name: str) -> dict[str, Any]:
        return {"as_tensor": {"name": name}}

    def node(target: str, gives: list[str], **arguments: Any) -> dict[str, Any]:
        inputs = [{"name": key, "arg": arg, "kind": 1} for key, arg in arguments.items()]
        outputs = [named(name) for name in gives]
        return {"target": f"torch.ops.{target}", "inputs": inputs, "outputs": outputs}

    def values(**shapes: tuple[int, ...]) -> dict[str, Any]:
        return {
            name: {"dtype": 7, "sizes": [{"as_int": size} for size in shape]}
            for name, shape in shapes.items()
        }

    inner = {
        "inputs": [named("a"), named("b")], "outputs": [named("c")],
        "nodes": [node("aten.matmul.default", ["c"], self=named("a"), other=named("b"))],
        "tensor_values": values(a=(4, 6), b=(6, 5), c=(4, 5)),
    }  # fmt: skip
    wrapped = {"as_graph": {"name": "part", "graph": inner}}
    steps = node("aten.arange.start_step", ["s"], start={"as_int": 0}, end={"as_int": 5},
                 layout={"as_layout": 7}, pin_memory={"as_bool": False})  # fmt: skip
    graph = {
        "nodes": [
            node("aten._assert_tensor_metadata.default", [], a=named("x")),
            node("higher_order.wrap_with_set_grad_enabled", ["m"], on={"as_bool": False},
                 part=wrapped, x=named("x"), w=named("w")),
            steps,
            node("aten.add.Tensor", ["y"], self=named("m"), other=named("s")),
        ],
        "tensor_values": values(x=(4, 6), w=(6, 5), m=(4, 5), s=(5,), y=(4, 5)),
    }  # fmt: skip
    signature = {
        "input_specs": [{"user_input": {"arg": named(name)}} for name in ("x", "w")],
        "output_specs": [{"user_output": {"arg": named("y")}}],
    }
    program = {"graph_module": {"graph": graph, "signature": signature}}
    content = {"models/model.json": json.dumps(program).encode()}
    model = inspect(archive(tmp_path / "p.pt2", content))
    assert (model.status, model.macs) == ("parsed", 4 * 6 * 5), model.notes
    assert model.outputs is not None and model.outputs[0].shape == (4, 5)


def test_a_loop_over_a_size_is_counted_for_every_round(tmp_path: Path) -> None:
    code = """
class Net(Module):
  weight : Tensor
  fc : __torch__.net.Linear
  def forward(self: __torch__.net.Net,
    x: Tensor) -> Tensor:
    h = torch.select(x, 1, 0)
    for t in range(torch.size(x, 1)):
      h0 = torch.matmul(torch.select(x, 1, t), torch.reshape(self.weight, [108, 1]))
      h = torch.add(h, h0)
    return h
"""
    path = script(tmp_path / "s.pt", code)
    for rounds in (3, 5):
        assert inspect(path, x=(1, rounds, 108)).macs == rounds * 108


@pytest.mark.parametrize(
    "code",
    ["class Net(Module:\n", CODE.replace("CONSTANTS.c0", "CONSTANTS.c7"), "x = 1\n",
     CODE.replace("(fc).forward(z, )", "(self).forward(x, )")],
)  # fmt: skip
def test_code_that_is_none_or_never_ends(tmp_path: Path, code: str) -> None:
    model = inspect(script(tmp_path / "s.pt", code, traced=True))
    assert model.status in ("rejected", "not_examined")


def test_stored_tensors_are_described_not_read() -> None:
    found = unpickle(memoryview(pickled(STATE))).value
    assert isinstance(found["conv.bias"], Stored) and found["conv.bias"].shape == (2,)


def test_other_zips_are_none_of_pytorch() -> None:
    head = b"PK\x03\x04" + bytes(22) + b"\x14\x00\x00\x00AndroidManifest.xml\x00"
    assert pytorch.recognise(head, "app.apk") == 0
    assert pytorch.recognise(b"\x89PNG", "a.png") == 0
