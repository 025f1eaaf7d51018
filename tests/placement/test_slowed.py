"""What the emulated device makes for the cloud's way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgewise import sandbox
from edgewise.placement import photos
from edgewise.placement.device import device
from edgewise.placement.questions import Sending
from edgewise.placement.recipes.guo2018 import build

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="emulated devices need Linux")


def test_bodies_are_those_that_this_process_would_have_made(tmp_path: Path) -> None:
    for peer in ("onnxruntime", "PIL"):
        pytest.importorskip(peer)
    from contextlib import ExitStack

    from edgewise.family import Preprocess
    from edgewise.placement.subjects import Subject, subjects
    from edgewise.protocol import inputs

    image = tmp_path / "photo.jpg"
    image.write_bytes(photos.photo(photos.Size(320, 240), 0))
    family = build(tmp_path, ("squeezenet-v1.1",))
    with ExitStack() as until:
        given = inputs.read([image])
        (subject,) = subjects([str(family)], given, Preprocess(), until, most=1)
        assert isinstance(subject, Subject)
        slow = device("host:emulated=0.5")
        assert slow.client is not None
        for sending in (
            Sending("device", as_tensor=False, port=None, binary=True),
            Sending("device", as_tensor=True, port=None, binary=True),
            Sending("cloud", as_tensor=False, port=None, binary=True),
        ):
            made = slow.client(sending, subject, sandbox.Limits(60)).body(subject, 0)
            plain = sending.body(subject, 0)
            assert (made.body.json, made.body.raw) == (plain.body.json, plain.body.raw)
            assert made.preprocess_ms >= 0
            assert made.encode_ms > 0
