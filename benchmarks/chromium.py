"""A headless Chromium as a reader's: opens pages, runs scripts in them, takes pictures, prints.

It speaks the browser's own protocol (CDP) over a pipe, in real time: what takes long is seen to.
Every message of the console and every request is kept.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
#: Said of every chart whose height follows its rows, as is meant.
_EXPECTED = 'Dropping "fit-y"'


class Tab:
    """One page of a browser that has its profile in `folder`. `console` holds the page's warnings
    and errors, `requests` the addresses that it asked."""

    def __init__(self, commands: int, answers: int, folder: Path) -> None:
        self._commands, self._answers = commands, answers
        self._number = 0
        self._buffer = b""
        self._session: str | None = None
        self._loaded = False
        self.folder = folder
        self.console: list[str] = []
        self.requests: list[str] = []

    def start(self) -> None:
        """Open an empty page and follow what happens in it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and what it answers.

        Raises:
            RuntimeError: the browser refuses it.
        """
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._write(json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._heard(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._loaded = False
        self.call("Page.navigate", url=url)
        while not self._loaded:
            self._heard(self._next())

    def run(self, script: str) -> Any:
        """The value of an expression, of a promise what it comes to.

        Raises:
            RuntimeError: it throws.
        """
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 60.0) -> None:
        """Until a script's expression holds.

        Raises:
            TimeoutError: it does not, for so long.
        """
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(condition)
            time.sleep(0.02)

    def screen(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """The window's size in CSS pixels, and the reader's theme."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, to: Path, *, whole: bool = False) -> None:
        """A PNG of what is seen, or of the whole page."""
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        to.write_bytes(base64.b64decode(taken["data"]))

    def print(self, to: Path) -> None:
        """The page as a PDF."""
        printed = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        to.write_bytes(base64.b64decode(printed["data"]))

    def _heard(self, event: dict[str, Any]) -> None:
        about = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.consoleAPICalled" if about["type"] in ("error", "warning", "assert"):
                texts = (str(each.get("value", each.get("description"))) for each in about["args"])
                self._note(" ".join(texts))
            case "Runtime.exceptionThrown":
                self._note(json.dumps(about["exceptionDetails"]))
            case "Log.entryAdded" if about["entry"]["level"] in ("error", "warning"):
                self._note(f"{about['entry']['text']} {about['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])

    def _note(self, text: str) -> None:
        if _EXPECTED not in text:
            self.console.append(text)

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._commands, content) :]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not (read := os.read(self._answers, 1 << 20)):
                raise RuntimeError("the browser has ended")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    @property
    def asked(self) -> list[str]:
        """Requests that left the file: what is no file, no data and nothing of the page's own."""
        inside = ("file:", "data:", "blob:", "about:")
        return [url for url in self.requests if not url.startswith(inside)]


@contextmanager
def tab() -> Iterator[Tab]:
    """A browser with one page.

    Raises:
        RuntimeError: there is no Chromium here.
    """
    if PROGRAM is None:
        raise RuntimeError("no chromium here")
    to_browser, from_browser = os.pipe(), os.pipe()

    def hand_over() -> None:  # it reads its commands from 3 and answers on 4
        commands, answers = os.dup(to_browser[0]), os.dup(from_browser[1])
        os.dup2(commands, 3)
        os.dup2(answers, 4)

    with tempfile.TemporaryDirectory(prefix="edgewise-chromium-", ignore_cleanup_errors=True) as at:
        process = subprocess.Popen(
            [PROGRAM, *_FLAGS, f"--user-data-dir={at}"], preexec_fn=hand_over, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            page = Tab(to_browser[1], from_browser[0], Path(at))
            page.start()
            yield page
        finally:
            os.close(to_browser[1])
            os.close(from_browser[0])
            process.terminate()
            process.wait(30)
