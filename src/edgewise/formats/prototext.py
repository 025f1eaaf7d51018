"""Protobuf's text form (https://protobuf.dev/reference/protobuf/textformat-spec)."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.messages import MAX_DEPTH, Message, Word

#: A text is read as a whole: none that a person or a converter wrote is larger.
MAX_BYTES = 64 << 20
_TOKEN = re.compile(
    r"""[ \t\r\n\f\v;,]*(?:\#[^\n]*(?:\n|\Z)[ \t\r\n\f\v;,]*)*(?:
    (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>[-+]?\s*(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf\b|nan\b)[fF]?
      (?![A-Za-z_]))
    |(?P<word>-?[A-Za-z_][A-Za-z0-9_.\-/]*)
    |(?P<extension>\[[A-Za-z0-9_./]+\])
    |(?P<mark>[{}<>:\[\]])
    |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_NAMED = {
    "n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?",
}  # fmt: skip


def parse(data: memoryview) -> Message:
    """The message that a text describes. Strings come as bytes.

    Raises:
        RejectedModel: it is no such text; says where it breaks.
        LimitExceeded: it is larger than any such text.
    """
    if len(data) > MAX_BYTES:
        raise LimitExceeded(f"a text of {len(data):,} bytes, more than {MAX_BYTES:,}")
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as problem:
        raise RejectedModel(f"no text at byte {problem.start:,}") from problem
    if "\0" in text:
        raise RejectedModel(f"no text at byte {text.index(chr(0)):,}")
    return _Text(text).parse()


class _Text:
    """A text while it is read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._kind = self._token = ""
        self._next()

    def parse(self) -> Message:
        """The whole text."""
        message = self._fields("", 0)
        if self._kind != "end":
            self._broken("text after the end")
        return message

    def _next(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.lastgroup is None:
            self._broken("not understood")
        self._kind, self._token = found.lastgroup, found.group(found.lastgroup)
        self._at = found.end()

    def _broken(self, why: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        raise RejectedModel(f"line {line}: {why} at {self._text[self._at : self._at + 30]!r}")

    def _fields(self, close: str, depth: int) -> Message:
        if depth > MAX_DEPTH:
            raise RejectedModel(f"messages nested deeper than {MAX_DEPTH}")
        fields: dict[str, list[Any]] = {}
        while not (self._token == close if close else self._kind == "end"):
            if self._kind not in ("word", "extension"):
                self._broken("a field's name is wanted")
            name = self._token
            self._next()
            colon = self._token == ":" and self._kind == "mark"
            if colon:
                self._next()
            values = fields.setdefault(name, [])
            if self._kind == "mark" and self._token == "[":
                values.extend(self._list(depth))
            else:
                values.append(self._value(depth, colon))
        return Message(fields)

    def _list(self, depth: int) -> list[Any]:
        self._next()
        values = []
        while self._token != "]":
            if self._kind == "end":
                self._broken("a list without an end")
            values.append(self._value(depth, True))
        self._next()
        return values

    def _value(self, depth: int, colon: bool) -> Any:
        kind, token = self._kind, self._token
        if kind == "mark" and token in "{<":
            self._next()
            message = self._fields("}" if token == "{" else ">", depth + 1)
            self._next()
            return message
        if not colon:
            self._broken("a colon is wanted")
        self._next()
        if kind == "string":
            parts = [_unescaped(token)]
            while self._kind == "string":
                parts.append(_unescaped(self._token))
                self._next()
            return b"".join(parts)
        if kind == "number":
            return _number(token)
        if kind != "word":
            self._broken("a value is wanted")
        return Word(token)


def _number(token: str) -> int | float:
    text = "".join(token.split())
    digits = text.lstrip("+-")
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[:1] == "0" else 10
    try:
        return int(text, base)
    except ValueError:
        pass
    try:
        return float(text.rstrip("fF") if "n" not in text else text)
    except ValueError as problem:
        raise RejectedModel(f"{token[:40]!r} is no number") from problem


def _unescaped(token: str) -> bytes:
    body = token[1:-1]
    if "\\" not in body:
        return body.encode()
    parts: list[bytes] = []
    at = 0
    for found in _ESCAPE.finditer(body):
        parts.append(body[at : found.start()].encode())
        at = found.end()
        code = found.group(1)
        if code[0] in "01234567":
            parts.append(bytes([int(code, 8) & 0xFF]))
        elif code[0] == "x" and len(code) > 1:
            parts.append(bytes([int(code[1:], 16)]))
        elif code[0] == "u" and len(code) > 1:
            parts.append(chr(int(code[1:], 16)).encode("utf-8", "replace"))
        else:
            parts.append(_NAMED.get(code, code).encode())
    parts.append(body[at:].encode())
    return b"".join(parts)
