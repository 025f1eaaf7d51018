"""The client against the service itself, with the demo's family."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgewise
from edgewise.client import Unreachable
from edgewise.client.device import LocalDevice
from edgewise.client.inputs import question
from edgewise.family import Preprocess, load_family
from edgewise.protocol.messages import BadRequest, Unauthorised, UnknownModel
from edgewise.runtimes import runner
from edgewise.runtimes.variant import prepare, resolve, scores

for _module in ("uvloop", "ai_edge_litert", "edgewise.server.main", "edgewise.server.http.app"):
    pytest.importorskip(_module, reason=f"the service needs {_module}", exc_type=ImportError)

TOKEN = "t0ken"
_RUN = """
import sys
from pathlib import Path
from edgewise.server.main import run
from edgewise.server.settings import ServerSettings

run(
    [Path(sys.argv[1])],
    ServerSettings(port=0, workers=1, token=sys.argv[2]),
    lambda at: print(at.http, flush=True),
)
"""


@pytest.fixture(scope="module")
def url(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = (tmp_path_factory.mktemp("service") / "log").open("w+")
    service = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(digits / "family.toml"), TOKEN],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert service.stdout is not None
        line = service.stdout.readline().strip()
        log.seek(0)
        assert line.startswith("http://"), f"the service did not start: {log.read()[-2000:]}"
        yield line
    finally:
        service.terminate()
        try:
            service.wait(20)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()
        service.stdout.close()
        log.close()


@pytest.fixture(scope="module")
def heldout(digits: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(digits / "heldout.npz") as arrays:
        return arrays["images"], arrays["labels"]


@pytest.fixture
def client(url: str, digits: Path) -> Iterator[edgewise.Client]:
    with edgewise.Client(url, family=digits / "family.toml", token=TOKEN, sla_ms=5000) as made:
        yield made


def test_the_right_digits_within_the_deadline(
    client: edgewise.Client, heldout: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = heldout
    done = [client.infer(image) for image in images[:40]]
    right = [answer.label == str(label) for answer, label in zip(done, labels, strict=False)]
    assert np.mean(right) > 0.9
    for answer in done:
        assert (answer.source, answer.in_time) == ("cloud", True)
        assert answer.variant.startswith("digits-")
        assert answer.accuracy is not None
        assert answer.phases is not None
        assert answer.phases.total_ms == pytest.approx(answer.latency_ms)
        assert answer.phases.server_ms > 0
    # Its word on the network counts at the service once it has one.
    assert done[-1].parameters["budget_basis"] == "client"
    budget_ms = done[-1].parameters["budget_ms"]
    assert 0 < budget_ms < 5000


def test_a_tensor_and_a_pinned_variant(
    client: edgewise.Client, url: str, heldout: tuple[np.ndarray, np.ndarray]
) -> None:
    image = heldout[0][0].astype(np.float32).reshape(1, 8, 8, 1) / 255
    with edgewise.Client(url, "digits-xs", token=TOKEN) as pinned:
        answer = pinned.infer(image)
    assert answer.variant == "digits-xs"
    assert answer.index == client.infer(heldout[0][0]).index


def test_a_model_of_integers_answers_alike_wherever_it_runs(
    url: str, digits: Path, tmp_path: Path, heldout: tuple[np.ndarray, np.ndarray]
) -> None:
    """Real values by its file's scale: pinned, on the device, and as `eval` reads its outputs."""
    images, name = heldout[0][:4], "digits-l-int8"
    (family := tmp_path / "family.toml").write_text(
        f'name = "i"\nlabels = "{digits}/labels.txt"\n[input]\nkind = "image"\n[[variant]]\n'
        f'name = "{name}"\nfile = "{digits}/{name}.tflite"\nrole = "device"\naccuracy = 90\n'
        "preprocess = {scale = [255.0]}\n"
    )
    with edgewise.Client(url, name, token=TOKEN) as pinned:
        there = [pinned.infer(image) for image in images]
        raw = pinned.infer(images[0], parameters={"raw_outputs": True})
    device = LocalDevice(load_family(family))
    here = [device.ask(question(image, "image")).result() for image in images]
    device.close()
    session = runner.load("litert", digits / f"{name}.tflite")
    how = resolve(Preprocess(scale=(255.0,)), session.session.inputs[0])
    for image, cloud, local in zip(images, there, here, strict=True):
        (mine,) = local.outputs.values()
        (theirs,) = cloud.outputs.values()
        assert mine.dtype == theirs.dtype == np.float32
        session.run({session.session.inputs[0].name: prepare(Image.fromarray(image), how)})
        np.testing.assert_allclose(scores(session.session), mine.reshape(-1))
        np.testing.assert_array_equal(mine, theirs)
    (integers,) = raw.outputs.values()
    assert integers.dtype == np.int8
    np.testing.assert_allclose((integers + 128.0) / 256, next(iter(there[0].outputs.values())))


def test_what_the_service_refuses_is_the_error_it_raised(url: str, digits: Path) -> None:
    with edgewise.Client(url, "digits") as stranger, pytest.raises(Unauthorised):
        stranger.infer(b"x")
    with edgewise.Client(url, "no-such", token=TOKEN) as lost, pytest.raises(UnknownModel):
        lost.infer(b"x")
    with edgewise.Client(url, "digits", token=TOKEN) as wrong, pytest.raises(BadRequest):
        wrong.infer(b"this is no image")


def test_a_duplicate_answers_whatever_the_deadline(
    url: str, digits: Path, heldout: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = heldout
    with edgewise.Client(
        url, family=digits / "family.toml", token=TOKEN, device="duplicate"
    ) as client:
        client.infer(images[0])
        # Nothing is left of this deadline by the time that the service sees it.
        hopeless = client.infer(images[1], sla_ms=2000, elapsed_ms=1999.9)
        easy = client.infer(images[1], sla_ms=20_000)
    assert (hopeless.source, hopeless.variant) == ("device", "digits-s")
    assert hopeless.index == labels[1]
    assert (easy.source, easy.index) == ("cloud", labels[1])


def test_a_cascade_is_as_right_as_the_cloud_less_its_risk(
    url: str, digits: Path, heldout: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = heldout
    with edgewise.Client(
        url, family=digits / "family.toml", token=TOKEN, device="cascade", risk=2.0
    ) as client:
        rule = client.calibrate(images[:120], labels[:120])
        done = [client.infer(image, sla_ms=5000) for image in images[120:200]]
    assert rule.n == 120
    right = [answer.index == label for answer, label in zip(done, labels[120:], strict=False)]
    assert np.mean(right) > 0.9
    assert {answer.source for answer in done} <= {"cloud", "device"}


def test_what_comes_back_is_the_protocols(
    client: edgewise.Client, heldout: tuple[np.ndarray, np.ndarray]
) -> None:
    answer = client.infer(heldout[0][0], id="mine")
    assert answer.id == "mine"
    json.dumps(dict(answer.parameters))
    assert client.ping() > 0


def test_a_service_that_is_gone_is_unreachable(url: str) -> None:
    with (
        edgewise.Client(url.replace("http", "https"), "digits", retries=0) as client,
        pytest.raises(Unreachable),
    ):
        client.infer(b"x", sla_ms=5000)
