"""OpenVINO IR, from networks written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from held_files import inspected

from edgewise.formats import openvino


def ports(kind: str, dims: list[tuple[int, ...]], first: int = 0) -> str:
    inside = "".join(
        f'<port id="{first + at}" precision="FP32">'
        + "".join(f"<dim>{size}</dim>" for size in sizes) + "</port>"
        for at, sizes in enumerate(dims)
    )  # fmt: skip
    return f"<{kind}>{inside}</{kind}>" if dims else ""


def layer(
    number: int, op: str, data: str = "", takes: int = 0, gives: tuple[int, ...] | None = None,
    inside: str = "",
) -> str:  # fmt: skip
    outputs = ports("output", [gives], takes) if gives is not None else ""
    return (
        f'<layer id="{number}" name="n{number}" type="{op}" version="opset1">'
        f"<data {data}/>{ports('input', [()] * takes)}{outputs}{inside}</layer>"
    )


def network(layers: list[str], edges: list[tuple[int, int, int, int]]) -> str:
    joined = "".join(
        f'<edge from-layer="{a}" from-port="{b}" to-layer="{c}" to-port="{d}"/>'
        for a, b, c, d in edges
    )
    return f"<layers>{''.join(layers)}</layers><edges>{joined}</edges>"


def ir(layers: list[str], edges: list[tuple[int, int, int, int]], version: int = 11) -> bytes:
    return (
        f'<?xml version="1.0"?><net name="t" version="{version}">{network(layers, edges)}</net>'
    ).encode()


def constant(number: int, shape: tuple[int, ...], offset: int = 0) -> str:
    size = 4 * int(np.prod(shape))
    text = ",".join(map(str, shape))
    data = f'element_type="f32" shape="{text}" offset="{offset}" size="{size}"'
    return layer(number, "Const", data, 0, shape)


GROUPED = ir(
    [
        layer(0, "Parameter", 'shape="?,4,8,8" element_type="f32"', 0, (-1, 4, 8, 8)),
        constant(1, (2, 3, 2, 3, 3)),
        layer(2, "GroupConvolution",
              'strides="1,1" dilations="1,1" pads_begin="1,1" pads_end="1,1" auto_pad="explicit"',
              2, (1, 6, 8, 8)),
        layer(3, "Result", "", 1),
    ],
    [(0, 0, 2, 0), (1, 0, 2, 1), (2, 2, 3, 0)],
)  # fmt: skip


def test_a_grouped_convolution_with_its_weights_beside_it() -> None:
    weights = np.ones(2 * 3 * 2 * 9, np.float32).tobytes()
    model = inspected("m.xml", GROUPED, {"m.bin": weights})
    assert model.status == "parsed", model.reason
    assert model.macs == 8 * 8 * 6 * 2 * 9
    assert model.parameters == 108
    assert model.companions == ("m.bin",)
    assert model.outputs[0].shape == (1, 6, 8, 8)


def test_without_the_weights_the_graph_is_read_and_a_note_says_so() -> None:
    model = inspected("m.xml", GROUPED)
    assert model.macs == 8 * 8 * 6 * 2 * 9
    assert any("m.bin" in note for note in model.notes)


def test_an_axis_whose_value_is_missing_is_not_taken_for_the_first() -> None:
    content = ir(
        [
            layer(0, "Parameter", 'shape="1,16,8" element_type="f32"', 0, (1, 16, 8)),
            constant(1, ()), constant(2, (), 4),
            layer(3, "Gather", "", 3, (1, 8)),
            constant(4, (8, 2), 8),
            layer(5, "MatMul", "", 2, (1, 2)),
            layer(6, "Result", "", 1),
        ],
        [(0, 0, 3, 0), (1, 0, 3, 1), (2, 0, 3, 2), (3, 3, 5, 0), (4, 0, 5, 1), (5, 2, 6, 0)],
    )  # fmt: skip
    numbers = np.array([0], np.float32).tobytes() + np.array([1], np.float32).tobytes()
    weights = numbers + np.ones((8, 2), np.float32).tobytes()
    assert inspected("m.xml", content, {"m.bin": weights}).macs == 16
    assert inspected("m.xml", content).macs in (16, None)


def test_a_loop_counts_its_body_for_every_part() -> None:
    body = network(
        [
            layer(0, "Parameter", 'shape="1,1,4" element_type="f32"', 0, (1, 1, 4)),
            constant(1, (4, 5)),
            layer(2, "MatMul", "", 2, (1, 1, 5)),
            layer(3, "Result", "", 1),
        ],
        [(0, 0, 2, 0), (1, 0, 2, 1), (2, 2, 3, 0)],
    )
    inside = (
        '<port_map><input axis="1" external_port_id="0" internal_layer_id="0" part_size="1"/>'
        '<output axis="1" external_port_id="1" internal_layer_id="3"/></port_map>'
        f"<body>{body}</body>"
    )
    content = ir(
        [
            layer(0, "Parameter", 'shape="1,7,4" element_type="f32"', 0, (1, 7, 4)),
            layer(1, "TensorIterator", "", 1, (1, 7, 5), inside),
            layer(2, "Result", "", 1),
        ],
        [(0, 0, 1, 0), (1, 1, 2, 0)],
    )
    model = inspected("m.xml", content, {"m.bin": bytes(80)})
    assert model.macs == 7 * 4 * 5
    assert model.outputs[0].shape == (1, 7, 5)


def test_what_is_not_understood_makes_the_count_unknown() -> None:
    content = ir(
        [layer(0, "Parameter", 'shape="1,4" element_type="f32"', 0, (1, 4)),
         layer(1, "SecretSauce", "", 1, (1, 4)), layer(2, "Result", "", 1)],
        [(0, 0, 1, 0), (1, 1, 2, 0)],
    )  # fmt: skip
    model = inspected("m.xml", content)
    assert model.macs is None and any("SecretSauce" in note for note in model.notes)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (ir([layer(0, "Result", "", 1)], [(5, 0, 0, 0)]), "rejected"),
        (ir([layer(0, "ReLU", "", 1, (1,))], [(0, 1, 0, 0)]), "rejected"),
        (GROUPED[:-40], "rejected"),
        (GROUPED.replace(b'version="11"', b'version="7"'), "opaque"),
        (GROUPED.replace(b"<net", b"<!DOCTYPE net [<!ENTITY a 'b'>]><net"), "rejected"),
    ],
)
def test_files_that_are_none(content: bytes, status: str) -> None:
    assert inspected("m.xml", content, {"m.bin": bytes(432)}).status == status


def test_other_xml_is_no_network() -> None:
    assert openvino.recognise(b'<?xml version="1.0"?><resources/>', "strings.xml") == 0
    assert openvino.recognise(b"\x03\x00\x08\x00", "AndroidManifest.xml") == 0
    assert openvino.recognise(GROUPED[:512], "no-ending") > 0.5
