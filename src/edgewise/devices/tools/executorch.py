"""ExecuTorch's `executor_runner` (a total for all runs; in 2023 only the log's clock) and the
statistics of its language-model runners (a JSON object with times of the epoch)."""

from __future__ import annotations

import json
import re
from typing import Any

from edgewise.devices.tools.ending import reason
from edgewise.devices.tools.text import NUMBER, number
from edgewise.records import Reported

NAME = "executor_runner"
_LLM = re.compile(r"PyTorchObserver (\{.*\})")
_LOGGED = re.compile(r"executorch:executor_runner\.cpp:\d+\]")
_EXECUTED = re.compile(rf"Model executed successfully (\d+) time\(s\) in {NUMBER} ms")
_CLOCK = r"^[A-Z] (\d+):(\d+):(\d+\.\d+) executorch:\S+\] "


def recognise(text: str) -> bool:
    """Whether it is the output of one of the runners."""
    return bool(_LLM.search(text) or _LOGGED.search(text) or _EXECUTED.search(text))


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record."""
    if found := _LLM.search(text):
        return [_llm(json.loads(found[1]))]
    model = re.search(r"Model file (\S+) is loaded", text)
    known: dict[str, Any] = {"tool": NAME, "exit": exit_status, "model": model and model[1]}
    if executed := _EXECUTED.search(text):
        runs = int(executed[1])
        known |= {"n": runs, "mean_ms": float(executed[2]) / runs if runs else None}
        return [Reported(**known, init_ms=number(rf"Model loaded in {NUMBER} ms", text))]
    begin = _at_ms(text, r"Inputs prepared\.")
    end = _at_ms(text, r"Model executed successfully\.")
    if begin is None or end is None:
        return [Reported(**known, status="failed", reason=reason(text, exit_status))]
    return [
        Reported(**known, n=1, first_ms=round(end - begin, 3), reason="from the log's own clock")
    ]


def _at_ms(text: str, message: str) -> float | None:
    found = re.search(_CLOCK + message, text, re.M)
    if found is None:
        return None
    return (int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])) * 1e3


def _llm(said: dict[str, Any]) -> Reported:
    per_s = said.get("SCALING_FACTOR_UNITS_PER_SECOND") or 1000

    def between(begin: str, end: str) -> float | None:
        a, b = said.get(begin), said.get(end)
        if not (isinstance(a, int) and isinstance(b, int) and 0 < a <= b):
            return None
        return (b - a) / per_s * 1e3

    def rate(tokens: object, ms: float | None) -> float | None:
        return tokens / ms * 1e3 if isinstance(tokens, int) and ms else None

    prompt, generated = said.get("prompt_tokens"), said.get("generated_tokens")
    prefill = between("inference_start_ms", "prompt_eval_end_ms")
    decode = between("prompt_eval_end_ms", "inference_end_ms")
    return Reported(
        tool="executorch-llm",
        init_ms=between("model_load_start_ms", "model_load_end_ms"),
        first_token_ms=between("inference_start_ms", "first_token_ms"),
        prompt_tokens=prompt,
        generated_tokens=generated,
        prefill_tokens_per_s=rate(prompt, prefill),
        decode_tokens_per_s=rate(generated, decode),
    )
