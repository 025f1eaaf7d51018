"""llama.cpp: language models in GGUF. One inference is a prompt and the tokens generated after it.

The input `tokens` is the prompt, of as many tokens as its shape says; `generate` tokens follow,
each the likeliest. With `--profile` both parts are timed apart: prefill, and decoding per token.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from edgewise.errors import RuntimeRefused
from edgewise.records import Delegation, LayerTime, Port, RuntimeInfo, RuntimeOption
from edgewise.runtimes import contract
from edgewise.runtimes.refusal import refusals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "llamacpp"
EXTRA = "llamacpp"
NEEDED_FOR = "running GGUF models"
FORMATS = ("gguf",)
DEFAULT_DELEGATE = "cpu"
OPTIONS = (
    RuntimeOption(name="prompt", help="tokens of the prompt", default="64"),
    RuntimeOption(name="generate", help="tokens generated after it", default="16"),
)
_MOST_TOKENS = 1 << 17


def info() -> RuntimeInfo:
    """See `Runtime.info`."""
    import llama_cpp

    return RuntimeInfo(
        name=NAME,
        version=getattr(llama_cpp, "__version__", None),
        delegates=(DEFAULT_DELEGATE,),
        formats=FORMATS,
        options=OPTIONS,
    )


def load(
    path: Path,
    *,
    threads: int,
    delegate: str,
    options: Mapping[str, str],
    profile: Path | None = None,
) -> LlamaSession:
    """See `Runtime.load`."""
    prompt, generate = (_count(name, options[name]) for name in ("prompt", "generate"))
    contract.check_delegate("llama.cpp", delegate, [DEFAULT_DELEGATE])
    from llama_cpp import Llama

    with refusals():
        model = Llama(
            str(path), n_ctx=prompt + generate, n_batch=prompt, n_threads=threads,
            n_threads_batch=threads, n_gpu_layers=0, logits_all=False, verbose=False,
        )  # fmt: skip
        return LlamaSession(model, prompt, generate)


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < _MOST_TOKENS:
        raise RuntimeRefused(f"llama.cpp's option {name} takes a number of tokens, not {text!r}")
    return int(text)


class LlamaSession(contract.Session):
    """See `Session`. Outputs are the tokens that were generated."""

    def __init__(self, model: Any, prompt: int, generate: int) -> None:
        self._model, self._generate = model, generate
        self.inputs = (Port(name="tokens", shape=(1, prompt), dtype="int32"),)
        self.outputs = (Port(name="generated", shape=(1, generate), dtype="int32"),)
        self._prompt: list[int] = []
        self._generated: list[int] = []
        self._prefill_ns = self._decode_ns = 0
        self.invoke = self._run

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """See `Session.resize`. One conversation of at most as many tokens as were set."""
        (port,) = self.inputs
        asked, stated = shapes[port.name], port.shape or ()
        if len(asked) != 2 or asked[0] != 1 or not 0 < asked[1] <= stated[1]:
            raise RuntimeRefused(f"a prompt is 1×n tokens, n at most {stated[1]} (option prompt)")

    def feed(self, values: Mapping[str, Array]) -> None:
        """See `Session.feed`."""
        most = self._model.n_vocab()
        self._prompt = [int(token) % most for token in values["tokens"][0]]

    def _run(self) -> None:
        model, begin = self._model, perf_counter_ns()
        model.reset()
        model.eval(self._prompt)
        self._generated = [model.sample(temp=0.0)]
        filled = perf_counter_ns()
        while len(self._generated) < self._generate:
            model.eval(self._generated[-1:])
            self._generated.append(model.sample(temp=0.0))
        self._prefill_ns, self._decode_ns = filled - begin, perf_counter_ns() - filled

    def results(self) -> dict[str, Array]:
        """See `Session.results`."""
        import numpy as np

        return {"generated": np.array([self._generated], np.int32)}

    def layer_times(self, runs: int) -> tuple[LayerTime, ...] | None:
        """See `Session.layer_times`: both parts of a run, in all."""
        prefill = decode = 0
        with refusals():
            for _ in range(runs):
                self._run()
                prefill, decode = prefill + self._prefill_ns, decode + self._decode_ns
        total = prefill + decode
        return tuple(
            LayerTime(name=name, op=op, mean_ms=ns / runs / 1e6, share=ns / total if total else 0.0)
            for name, op, ns in (
                ("prefill", f"{len(self._prompt)} tokens", prefill),
                ("decode", f"{self._generate - 1} tokens", decode),
            )
        )

    def notes(self) -> list[str]:
        """See `Session.notes`."""
        count = len(self._prompt)
        return [f"one inference: a prompt of {count} tokens, then {self._generate} generated"]

    def coverage(self) -> Delegation | None:
        """See `Session.coverage`."""
        return Delegation(
            delegate=DEFAULT_DELEGATE, delegated=0, partitions=0, fell_back={},
            reason=contract.OWN_KERNELS["cpu"],
        )  # fmt: skip

    def used(self) -> dict[str, str]:
        """See `Session.used`."""
        return {"threads": str(self._model.n_threads)}
