"""The paper's networks: ONNX files that others accept, with the published sizes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.placement.recipes.networks import alexnet, network_in_network, squeezenet
from edgewise.placement.recipes.onnx_writer import Network, write

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

#: Parameters and multiply-accumulates. AlexNet: 60,965,224 and 724 M (Netscope of bvlc_alexnet;
#: convnet-burden: caffenet 724 M). Network-in-Network: 7.6 M and 1.1 G. SqueezeNet v1.1: 1,235,496
#: (torchvision's table of weights); 349 M at 224 × 224 (torchvision), 388 M at 227 × 227
#: (Netscope; OpenVINO's model zoo has 0.785 GFLOPs, activations with them).
PUBLISHED = [
    (alexnet(), 60_965_224, 724_406_816),
    (network_in_network(), 7_595_176, 1_100_188_800),
    (squeezenet(), 1_235_496, 387_747_520),
    (squeezenet(224), 1_235_496, 349_151_936),
]


@pytest.fixture(scope="module", params=PUBLISHED, ids=lambda each: f"{each[0].name}-{each[2]}")
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Network, Path, int, int]:
    network, parameters, macs = request.param
    file = tmp_path_factory.mktemp("networks") / "network.onnx"
    write(network, file, seed=1)
    return network, file, parameters, macs


def test_is_valid_onnx_whose_shapes_agree(written: tuple[Network, Path, int, int]) -> None:
    network, file, _, _ = written
    onnx.checker.check_model(str(file), full_check=True)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(str(file)), strict_mode=True)
    output = inferred.graph.output[0].type.tensor_type.shape
    assert tuple(each.dim_value for each in output.dim) == network.output.shape == (1, 1000)


def test_has_the_published_size(written: tuple[Network, Path, int, int]) -> None:
    _, file, parameters, macs = written
    model = summarise(open_file(str(file)))
    assert (model.status, model.parameters, model.macs) == ("parsed", parameters, macs)
    assert model.macs_known == macs


def test_holds_and_meets_no_denormal_numbers(written: tuple[Network, Path, int, int]) -> None:
    network, file, _, _ = written
    model = onnx.load(str(file))
    for tensor in model.graph.initializer:
        assert _denormal(np.frombuffer(tensor.raw_data, np.float32)) == 0
    pixels = np.random.default_rng(0).integers(0, 256, network.input.shape)
    # What the family's preparation makes of a photo, and half of nothing at all.
    for values in ((pixels - 115) / 58, pixels / 1e3):
        for activations in _activations(model, values.astype(np.float32)):
            assert np.isfinite(activations).all()
            assert _denormal(activations) == 0


def _denormal(values: Any) -> int:
    return int(((values != 0) & (np.abs(values) < np.finfo(np.float32).tiny)).sum())


def _activations(model: Any, values: Any) -> list[Any]:
    """What every node gives."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    for node in observed.graph.node:
        observed.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    session = onnxruntime.InferenceSession(observed.SerializeToString())
    found: list[Any] = session.run(None, {"data": values})
    return found


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_seed_gives_the_same_file(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write(squeezenet(), tmp_path / name, seed=seed)
        digests.append(_digest(tmp_path / name))
    assert digests[0] == digests[1] != digests[2]


def test_a_broken_write_leaves_nothing(tmp_path: Path) -> None:
    network = squeezenet()
    bad = Network(
        network.name, network.description, network.input, network.output, network.nodes,
        (network.weights[0], None),  # type: ignore[arg-type]
    )  # fmt: skip
    with pytest.raises(AttributeError):
        write(bad, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_says_that_its_weights_are_random(tmp_path: Path) -> None:
    write(squeezenet(), tmp_path / "model.onnx")
    assert "random weights" in onnx.load(str(tmp_path / "model.onnx")).doc_string
