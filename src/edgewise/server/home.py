"""Asking, from any thread, what only the event loop's thread may look at."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
#: A loop that is stuck for longer has worse troubles than a scrape that fails.
_PATIENCE_S = 5.0


def at_home(question: Callable[[], T]) -> Callable[[], T]:
    """The same question, always answered in the thread that calls this one now.

    Without a running event loop there is nowhere to go back to: it is answered where it is asked.

    Raises, when asked:
        TimeoutError: the loop did not get to it within 5 s.
        RuntimeError: the loop is closed.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return question
    home = threading.get_ident()

    def ask() -> T:
        if threading.get_ident() == home:
            return question()
        answer: Future[T] = Future()
        loop.call_soon_threadsafe(_answer, question, answer)
        return answer.result(_PATIENCE_S)

    return ask


def _answer(question: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(question())
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked, in another thread
        answer.set_exception(error)
