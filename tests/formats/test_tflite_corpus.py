"""Real files, field by field against the generated readers of other packages, and LiteRT itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tflite_models import schema

from edgewise.archive import DiskFile
from edgewise.formats import tflite
from edgewise.graph import FreeDim, Kind, Tensor

pytestmark = pytest.mark.corpus


def _files(corpus: Path) -> list[Path]:
    paths = sorted(corpus.glob("models/tflite/*.tflite"))
    assert paths
    return paths


def _names(enumeration: type) -> dict[int, str]:
    return {v: k for k, v in vars(enumeration).items() if not k.startswith("_")}


_OPS, _TYPES = _names(schema.BuiltinOperator), _names(schema.TensorType)


def _their_ops(model: Any, graph: Any) -> list[str]:
    codes = [model.OperatorCodes(at) for at in range(model.OperatorCodesLength())]
    names = [
        (code.CustomCode() or b"").decode()
        or _OPS[max(code.DeprecatedBuiltinCode(), code.BuiltinCode())]
        for code in codes
    ]
    operators = [graph.Operators(at) for at in range(graph.OperatorsLength())]
    return [names[operator.OpcodeIndex()] for operator in operators]


def _sizes(tensor: Tensor) -> list[int | None]:
    assert tensor.shape is not None
    return [d.default if isinstance(d, FreeDim) else d for d in tensor.shape]


def _compare_tensor(ours: Tensor, at: int, theirs: Any, buffer: Any) -> None:
    assert ours.name == ((theirs.Name() or b"").decode() or f"tensor_{at}")
    assert ours.dtype.upper() == _TYPES[theirs.Type()]
    assert _sizes(ours) == [theirs.Shape(axis) for axis in range(theirs.ShapeLength())]
    free = [d for d in ours.shape or () if isinstance(d, FreeDim)]
    if ours.weights is None:
        stated = [theirs.ShapeSignature(axis) for axis in range(theirs.ShapeSignatureLength())]
        assert len(free) == stated.count(-1)
        assert buffer.DataLength() == 0
    else:
        assert not free
        assert ours.weights.nbytes == buffer.DataLength()
        assert bytes(ours.weights.load()) == bytes(
            buffer.DataAsNumpy().tobytes() if buffer.DataLength() else b""
        )
    _compare_quantization(ours, theirs.Quantization())


def _compare_quantization(ours: Tensor, theirs: Any) -> None:
    count = theirs.ScaleLength() if theirs else 0
    if not count:
        assert ours.quantization is None
        return
    assert ours.quantization is not None
    assert ours.quantization.scales == count
    if count == 1:
        assert ours.quantization.scale == theirs.Scale(0)
        assert ours.quantization.zero_point == theirs.ZeroPoint(0)
    else:
        assert ours.quantization.axis == theirs.QuantizedDimension()


def test_every_field_is_the_generated_readers(corpus: Path) -> None:
    for path in _files(corpus):
        model = schema.Model.GetRootAs(path.read_bytes(), 0)
        theirs, ours = model.Subgraphs(0), tflite.read(DiskFile(path))
        assert [layer.op for layer in ours.layers] == _their_ops(model, theirs), path.name
        assert ours.inputs == theirs.InputsAsNumpy().tolist()
        assert ours.outputs == theirs.OutputsAsNumpy().tolist()
        assert len(ours.tensors) == theirs.TensorsLength()
        for at, tensor in enumerate(ours.tensors):
            other = theirs.Tensors(at)
            _compare_tensor(tensor, at, other, model.Buffers(other.Buffer()))
        for at, layer in enumerate(ours.layers):
            operator = theirs.Operators(at)
            inputs = {None if index < 0 else index for index in operator.InputsAsNumpy().tolist()}
            assert set(layer.inputs) - {None} == inputs - {None}
            assert list(layer.outputs) == operator.OutputsAsNumpy().tolist()


def test_operators_are_those_that_litert_runs(corpus: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    loaded = 0
    for path in _files(corpus):
        try:
            runtime = interpreter.Interpreter(
                str(path),
                experimental_op_resolver_type=(
                    interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                ),
            )
        except (ValueError, RuntimeError):  # operators of tflite-micro
            continue
        loaded += 1
        theirs = [op["op_name"] for op in runtime._get_ops_details()]
        assert [layer.op for layer in tflite.read(DiskFile(path)).layers] == theirs, path.name
    assert loaded > 8


def test_real_files_are_recognised_by_their_bytes(corpus: Path) -> None:
    for path in _files(corpus):
        assert tflite.recognise(path.read_bytes()[:512], "unnamed") > 0.5


def test_only_operators_that_may_multiply_are_unknown(corpus: Path) -> None:
    unknown = {
        layer.op
        for path in _files(corpus)
        for layer in tflite.read(DiskFile(path)).layers
        if layer.kind == Kind.UNKNOWN
    }
    assert unknown == {"SignalFilterBank"}
