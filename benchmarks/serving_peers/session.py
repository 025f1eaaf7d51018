"""The same session for every server."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

SHAPE = (1, 3, 64, 64)


def load() -> Any:
    """An ONNX Runtime session with one thread, spinning off."""
    import onnxruntime as ort

    ort.set_default_logger_severity(3)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(
        os.environ["EDGEWISE_MODEL"], options, providers=["CPUExecutionProvider"]
    )


def infer(session: Any, body: bytes) -> bytes:
    """Raw float32 in, raw float32 out."""
    values = np.frombuffer(body, np.float32).reshape(SHAPE)
    result: bytes = session.run(None, {"x": values})[0].tobytes()
    return result
