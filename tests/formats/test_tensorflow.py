"""TensorFlow: graphs written by hand, on the wire and as text; loops, functions and variables."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from edgewise.formats import tensorflow
from formats.held_files import inspected
from formats.wire_bytes import message, varint

FLOAT, INT = 1, 3


def attribute(key: str, *content: tuple[int, object]) -> tuple[int, bytes]:
    return 5, message((1, key), (2, message(*content)))  # type: ignore[arg-type]


def shape(*sizes: int) -> bytes:
    return message(*((2, message((1, size))) for size in sizes))


def node(name: str, op: str, inputs: str = "", *attributes: tuple[int, bytes]) -> tuple[int, bytes]:
    reads = [(3, one) for one in inputs.split()]
    return 1, message((1, name), (2, op), *reads, *attributes)  # type: ignore[arg-type]


def weight(name: str, *sizes: int) -> tuple[int, bytes]:
    """A constant of ones and twos."""
    count = 1
    for size in sizes:
        count *= size
    content = struct.pack(f"<{count}f", *([1.0, 2.0] * count)[:count])
    tensor = message((1, FLOAT), (2, shape(*sizes)), (4, content))
    return node(name, "Const", "", attribute("value", (8, tensor)))


def numbers(name: str, *values: int) -> tuple[int, bytes]:
    tensor = message((1, INT), (2, shape(len(values))), (7, b"".join(map(varint, values))))
    return node(name, "Const", "", attribute("value", (8, tensor)))


def scalar(name: str, value: int) -> tuple[int, bytes]:
    tensor = message((1, INT), (2, b""), (7, value))
    return node(name, "Const", "", attribute("value", (8, tensor)))


def placeholder(name: str, *sizes: int) -> tuple[int, bytes]:
    return node(name, "Placeholder", "", attribute("shape", (7, shape(*sizes))))


def strides(key: str, *values: int) -> tuple[int, bytes]:
    return attribute(key, (1, message((3, b"".join(map(varint, values))))))


SAME = attribute("padding", (2, "SAME"))
CNN = message(
    weight("w", 3, 3, 3, 8),
    node("y", "MatMul", "flat f"),
    weight("d", 3, 3, 8, 2),
    weight("u", 2, 2, 5, 16),
    numbers("sizes", 1, 12, 14, 5),
    numbers("to", 1, -1),
    weight("f", 840, 4),
    placeholder("x", -1, 12, 14, 3),
    node("c", "Conv2D", "x w", strides("strides", 1, 2, 2, 1), SAME),
    node("r", "Relu6", "c ^x"),
    node("dw", "DepthwiseConv2dNative", "r d", strides("strides", 1, 1, 1, 1), SAME),
    node("up", "Conv2DBackpropInput", "sizes u dw", strides("strides", 1, 2, 2, 1), SAME),
    node("flat", "Reshape", "up to"),
)
MACS = 6 * 7 * 8 * 27 + 6 * 7 * 16 * 9 + 6 * 7 * 4 * 5 * 16 + 840 * 4


def test_a_frozen_graph_in_any_order() -> None:
    model = inspected("net.pb", CNN)
    assert (model.format, model.status, model.macs) == ("tensorflow", "parsed", MACS)
    assert model.parameters == 216 + 144 + 320 + 3360
    assert [port.shape for port in model.inputs or ()] == [(1, 12, 14, 3)]
    assert [port.shape for port in model.outputs or ()] == [(1, 4)]
    assert model.notes == ()


def test_text_says_the_same() -> None:
    text = """node { name: "x" op: "Placeholder" attr { key: "shape" value { shape {
        dim { size: -1 } dim { size: 6 } } } } }
    node { name: "w" op: "Const" attr { key: "value" value { tensor { dtype: DT_FLOAT
        tensor_shape { dim { size: 6 } dim { size: 5 } } float_val: 0.5 } } } }
    node { name: "y" op: "MatMul" input: "x" input: "w" }"""
    model = inspected("net.pbtxt", text.encode())
    assert (model.status, model.macs, model.parameters) == ("parsed", 30, 30)
    assert tensorflow.recognise(text.encode(), "assets/x") > 0.5


LOOP = (
    placeholder("x", 1, 6),
    weight("w", 6, 6),
    scalar("zero", 0),
    scalar("one", 1),
    scalar("limit", 7),
)


def test_a_loop_of_the_first_kind_is_counted_as_often_as_it_runs() -> None:
    frame = attribute("frame_name", (2, "loop"))
    data = message(
        *LOOP,
        node("e0", "Enter", "zero", frame),
        node("e1", "Enter", "x", frame),
        node("ew", "Enter", "w", frame, attribute("is_constant", (5, 1))),
        node("m0", "Merge", "e0 n0"),
        node("m1", "Merge", "e1 n1"),
        node("less", "Less", "m0 limit"),
        node("cond", "LoopCond", "less"),
        node("s0", "Switch", "m0 cond"),
        node("s1", "Switch", "m1 cond"),
        node("step", "AddV2", "s0:1 one"),
        node("turn", "MatMul", "s1:1 ew"),
        node("n0", "NextIteration", "step"),
        node("n1", "NextIteration", "turn"),
        node("out", "Exit", "s1"),
        node("y", "Relu", "out"),
    )
    model = inspected("loop.pb", data)
    assert (model.macs, model.parameters) == (7 * 36, 36)
    assert [port.shape for port in model.outputs or ()] == [(1, 6)]


def function(name: str, reads: str, result: str, *nodes: tuple[int, bytes]) -> bytes:
    arguments = [(2, message((1, one))) for one in reads.split()]
    outputs = [(3, message((1, "out")))]
    signature = message((1, name), *arguments, *outputs)  # type: ignore[arg-type]
    inner = [(3, content) for _, content in nodes]
    return message((1, signature), *inner, (4, message((1, "out"), (2, result))))  # type: ignore[arg-type]


def test_functions_are_followed_and_loops_of_functions_counted() -> None:
    twice = function("twice", "a b", "m2:product:0", node("m1", "MatMul", "a b"),
                     node("m2", "MatMul", "m1:product:0 b"))  # fmt: skip
    library = message((1, twice))
    data = message(*LOOP, node("y", "PartitionedCall", "x w", attribute("f", (10, message(
        (1, "twice"))))), (2, library))  # fmt: skip
    model = inspected("call.pb", data)
    assert (model.macs, model.parameters) == (72, 36)
    absent = inspected("call.pb", data.replace(b"twice", b"other", 1))
    assert absent.macs is None and "PartitionedCall" in " ".join(absent.notes)


def test_a_function_that_calls_itself_is_refused() -> None:
    call = node("c", "PartitionedCall", "a", attribute("f", (10, message((1, "f")))))
    library = message((1, function("f", "a", "c:output:0", call)))
    data = message(placeholder("x", 1), node("y", "PartitionedCall", "x", attribute("f", (10,
        message((1, "f"))))), (2, library))  # fmt: skip
    assert inspected("a.pb", data).status == "rejected"


def test_an_operator_that_is_not_known_makes_the_count_unknown() -> None:
    model = inspected("net.pb", CNN.replace(b"Relu6", b"Mine6"))
    assert model.macs is None and "Mine6" in " ".join(model.notes)


@pytest.mark.parametrize("cut", [1, 40, 500, len(CNN) // 2, len(CNN) - 3])
def test_what_is_cut_off_is_rejected(cut: int) -> None:
    assert inspected("net.pb", CNN[:cut]).status == "rejected"


def test_it_is_recognised_by_its_first_node_alone() -> None:
    assert tensorflow.recognise(CNN[:512], "assets/a7f3") > 0.5
    other = message((1, "bundletool"), (2, "1.0"))
    drawn = random.Random(5)
    for head in (other, b"", b"\n", *(drawn.randbytes(512) for _ in range(3000))):
        assert tensorflow.recognise(head, "toc.pb") == 0


@pytest.mark.corpus
def test_a_real_graph_has_the_count_of_its_twin(corpus: Path) -> None:
    from edgewise.analysis.summary import summarise
    from edgewise.archive import open_file

    (graph,), (twin,) = corpus.glob("models/tf/*.pb"), corpus.glob("models/tflite/*cpm*.tflite")
    counts = [summarise(open_file(str(path))).macs for path in (graph, twin)]
    assert counts == [277_261_056] * 2
