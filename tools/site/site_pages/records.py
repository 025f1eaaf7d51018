"""The records as pages: every field, its type, and what its docstring says."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import msgspec

from site_pages.written import code, page, paragraphs, table, text

PAGE = "reference/records.md"
#: Modules of `edgewise.records`, in the order of the chain, and what each is about.
_ROOMS = {
    "apps": "Apps and models", "changes": "Changes and limits", "fetching": "Fetched packages",
    "related": "Lineage", "measuring": "Measurements and devices",
    "reported": "What other tools report", "choosing": "Choosing", "decisions": "Decisions",
    "placing": "Placements", "serving": "Load",
}  # fmt: skip
#: Python's types in words of JSON.
_PLAIN = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def records() -> dict[str, type[msgspec.Struct]]:
    """All records by name."""
    return {each.__name__: each for room in _ROOMS for each in _of(_module(room))}


def anchor(name: str) -> str:
    """Where a record is described, from the root of the site."""
    return f"{PAGE}#{name.lower()}"


def made() -> Iterator[tuple[str, str]]:
    """The page of all records."""
    parts = [
        "What `--json` prints and the store keeps. `null` is a value that could not be determined, "
        "never 0; `notes` or `reason` says why. Names end in their unit (`_ms`, `_bytes`, `_mbps`, "
        "`_j`, `_w`). An object inside another is named in the column of types."
    ]
    for room, title in _ROOMS.items():
        parts += [f"## {title}", text(_lead(_module(room)))]
        for each in _of(_module(room)):
            parts += [f"### {each.__name__}", paragraphs(each.__doc__ or ""), fields(each)]
    yield PAGE, page("Records", *parts)


def fields(record: type[msgspec.Struct], root: str = "") -> str:
    """The fields of a record as a table; `root` leads from the page to the root of the site."""
    links = {name: f"{root}{anchor(name)}" if root else f"#{name.lower()}" for name in records()}
    return table(
        ("field", "type", "may be null"),
        (
            (code(name), kind(said, links), "yes" if may_be_null(said) else "")
            for name, said in field_types(record).items()
        ),
    )


def field_types(record: type[msgspec.Struct]) -> dict[str, str]:
    """The fields of a record in order, with their types as they are written."""
    found: dict[str, str] = {}
    for base in reversed(record.__mro__):
        found.update({k: str(v) for k, v in inspect.get_annotations(base).items()})
    return {name: found[name] for name in record.__struct_fields__}


def may_be_null(said: str) -> bool:
    """Whether a type allows None by itself, and not only inside a tuple."""
    return said.endswith("| None")


def kind(said: str, links: Mapping[str, str]) -> str:
    """A type in words of JSON, with links to records."""
    return _json_type(ast.parse(said.removesuffix("| None").strip(), mode="eval").body, links)


def _json_type(node: ast.expr, links: Mapping[str, str]) -> str:
    match node:
        case ast.Constant(None):
            return "null"
        case ast.Name(name) if name in links:
            return f"[{name}]({links[name]})"
        case ast.Name(name) if name in _literals():
            return _either(_literals()[name])
        case ast.Name(name):
            return _PLAIN.get(name, name)
        case ast.BinOp(left, ast.BitOr(), right):
            return f"{_json_type(left, links)} or {_json_type(right, links)}"
        case ast.Subscript(ast.Name("Literal"), inner):
            values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _either(each.value for each in values if isinstance(each, ast.Constant))
        case ast.Subscript(ast.Name("dict"), ast.Tuple([_, value])):
            return f"object of {_json_type(value, links)} by name"
        case ast.Subscript(ast.Name("tuple" | "list"), ast.Tuple([item, ast.Constant(end)])) if (
            end is ...
        ):
            inner_type = _json_type(item, links)
            return f"list of ({inner_type})" if " or " in inner_type else f"list of {inner_type}"
        case ast.Subscript(ast.Name("tuple" | "list"), inner):
            items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return f"list: {', '.join(_json_type(each, links) for each in items)}"
    raise ValueError(f"a type that is not foreseen: {ast.unparse(node)}")


def _either(values: Iterable[object]) -> str:
    return " or ".join(code(f'"{each}"') for each in values)


def _literals() -> Mapping[str, tuple[Any, ...]]:
    """Names that stand for some texts: `Status`, `Level` …"""
    from typing import get_args

    found = {}
    for room in _ROOMS:
        for name, value in vars(_module(room)).items():
            args = get_args(value)
            if name[:1].isupper() and args and all(isinstance(each, str) for each in args):
                found[name] = args
    return found


def _module(room: str) -> ModuleType:
    return import_module(f"edgewise.records.{room}")


def _lead(module: ModuleType) -> str:
    return inspect.cleandoc(module.__doc__ or "").split("\n\n")[0]


def _of(module: ModuleType) -> Iterable[type[msgspec.Struct]]:
    for each in vars(module).values():
        ours = inspect.isclass(each) and each.__module__ == module.__name__
        if ours and issubclass(each, msgspec.Struct):
            yield each
