"""Damaged TFLite files end in a typed error or in a graph, whatever is damaged."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_models import MemoryFile, Model, one_op, options, schema

from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats import tflite


def _outcome(content: bytes) -> str:
    try:
        graph = tflite.read(MemoryFile(content))
    except (RejectedModel, OpaqueModel, LimitExceeded) as error:
        return type(error).__name__
    for layer in graph.layers:
        assert all(index is None or index < len(graph.tensors) for index in layer.inputs)
    for tensor in graph.tensors:
        if tensor.weights is not None:
            assert len(tensor.weights.load()) == tensor.weights.nbytes
    return "parsed"


def _sample() -> Model:
    """A bit of everything: convolution, recurrence, control flow, custom, signature, metadata."""
    model = one_op("CONV_2D", [[1, 8, 8, 3], np.ones((6, 3, 3, 3), np.float32)], [[1, 8, 8, 6]],
                   options("Conv2D", strideW=1, strideH=1))  # fmt: skip
    main = model.main
    for tensor in main.table.tensors:
        tensor.shapeSignature = [-1, *tensor.shape[1:]]
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [0.5], [1]
    weights = [main.tensor([1, 5, 4]), *[main.tensor([8, 4]) for _ in range(4)]]
    weights += [main.tensor([8, 8]) for _ in range(4)] + [-1] * 15
    main.op("UNIDIRECTIONAL_SEQUENCE_LSTM", weights, [main.tensor([1, 5, 8])],
            options("UnidirectionalSequenceLSTM"))  # fmt: skip
    main.op("CUSTOM", [0], [1], custom="Convolution2DTransposeBias", custom_options=bytes(12))
    main.op("IF", [0], [1], options("If", thenSubgraphIndex=1, elseSubgraphIndex=1))
    body = model.subgraph("body")
    body.op("STABLEHLO_DOT_GENERAL", [body.tensor([2, 3]), body.tensor([3, 4])],
            [body.tensor([2, 4])],
            options("StablehloDotGeneral", lhsContractingDimensions=[1],
                    rhsContractingDimensions=[0]))  # fmt: skip
    model.metadata("min_runtime_version", b"2.0.0")
    signature, entry = schema.SignatureDefT(), schema.TensorMapT()
    entry.name, entry.tensorIndex = "x", 0
    signature.signatureKey, signature.inputs, signature.outputs = "serve", [entry], [entry]
    model.table.signatureDefs = [signature]
    return model


_SAMPLE = _sample().content()


def test_the_sample_itself_parses() -> None:
    assert _outcome(_SAMPLE) == "parsed"


def test_truncation_anywhere() -> None:
    outcomes = {_outcome(_SAMPLE[:length]) for length in range(0, len(_SAMPLE), 7)}
    assert outcomes == {"RejectedModel"}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(_SAMPLE) - 1), st.binary(min_size=1, max_size=4)),
                min_size=1, max_size=6))  # fmt: skip
def test_bytes_changed(changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(_SAMPLE)
    for at, new in changes:
        content[at : at + len(new)] = new
    _outcome(bytes(content))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_noise(noise: bytes) -> None:
    assert _outcome(b"\x10\0\0\0TFL3" + noise) in ("RejectedModel", "OpaqueModel", "LimitExceeded")


def test_every_offset_turned_to_itself() -> None:
    """Offsets that point at themselves, at the start, or far away: 4 bytes at a time."""
    for at in range(0, min(len(_SAMPLE) - 4, 4096), 4):
        for value in (0, 1, at, 0x7FFFFFFF, 0xFFFFFFFF):
            _outcome(_SAMPLE[:at] + value.to_bytes(4, "little") + _SAMPLE[at + 4 :])


@pytest.mark.corpus
def test_real_files_with_bytes_changed(corpus: Path) -> None:
    chance = random.Random(7)
    for path in sorted(corpus.glob("models/tflite/*.tflite")):
        original = path.read_bytes()
        for _ in range(12):
            content = bytearray(original)
            for _ in range(chance.randint(1, 8)):
                # Structure stands at both ends of a file, weights between them.
                at = chance.randrange(min(len(content), 4000))
                at = chance.choice((at, len(content) - 1 - at))
                content[at] = chance.randrange(256)
            _outcome(bytes(content))
        for _ in range(6):
            assert _outcome(original[: chance.randrange(len(original))]) == "RejectedModel"
