"""A manifest in text: libraries (`.aar`), sources, apps taken apart by other tools."""

from __future__ import annotations

from xml.etree import ElementTree

from edgewise.apps.manifest.identity import (
    DECLARED,
    MOST_DECLARED,
    WANTED,
    Attributes,
    Elements,
    Reference,
    Resolver,
)
from edgewise.errors import InputError


def elements(data: memoryview) -> Elements:
    """The elements that say who an app is.

    Raises:
        InputError: it is no well-formed XML, or declares entities (which no manifest needs, and
            which may expand without bound).
    """
    text = bytes(data)
    if b"<!ENTITY" in text:
        raise InputError("the manifest declares entities")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"the manifest is no well-formed XML: {error}") from error
    found: dict[str, Attributes] = {}
    for element in (root, *root):
        if element.tag in WANTED and element.tag not in found:
            found[element.tag] = _attributes(element)
    declared = [(each.tag, _attributes(each)) for each in root.iter() if each.tag in DECLARED]
    return Elements(found, tuple(declared[:MOST_DECLARED]))


def _attributes(element: ElementTree.Element) -> Attributes:
    return {name.rpartition("}")[2]: text_value(value) for name, value in element.items()}


def text_value(text: str) -> str | Reference:
    """An attribute as written: `@string/app_name` refers to a resource."""
    return Reference(text[1:]) if text.startswith("@") and "/" in text else text


def resolver() -> Resolver:
    """Resources of such packages are sources, in many files: not looked up."""
    return lambda reference: None
