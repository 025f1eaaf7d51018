"""From a manifest's elements, in whatever encoding, to what the app says it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

#: The elements of a manifest that say who an app is.
WANTED = ("manifest", "uses-sdk", "application")
#: Elements that may stand in it more than once, and say what the app uses.
DECLARED = ("meta-data", "uses-native-library", "uses-library")
#: Of these, how many are read.
MOST_DECLARED = 2000

#: Attributes of the platform, by the resource ids that identify them (`android.R.attr`).
ATTRIBUTE_IDS = {
    0x01010001: "label",
    0x01010003: "name",
    0x01010024: "value",
    0x01010025: "resource",
    0x0101020C: "minSdkVersion",
    0x0101021B: "versionCode",
    0x0101021C: "versionName",
    0x01010270: "targetSdkVersion",
    0x01010576: "versionCodeMajor",
    0x01010591: "isSplitRequired",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that stands in the resources: by number (`0x7f0e001c`) or by name (`string/app`)."""

    target: int | str

    def __str__(self) -> str:
        target = self.target
        return f"@0x{target:08x}" if isinstance(target, int) else f"@{target}"


Value = str | int | Reference
Attributes = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Elements:
    """What is read of a manifest: attributes by name without prefix.

    `first` has those of the first element of each name in `WANTED`; `declared` all elements with
    names in `DECLARED`.
    """

    first: Mapping[str, Attributes]
    declared: tuple[tuple[str, Attributes], ...] = ()


#: Looks a reference up; None where it cannot.
Resolver = Callable[[Reference], str | int | None]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a manifest says. `split` is the name of the part, for parts of a split app.

    `declared` has names and values of its `<meta-data>`, and of libraries that it asks for;
    `needs_splits` says that the app does not run without its other parts.
    """

    package: str | None = None
    version_name: str | None = None
    version_code: int | None = None
    label: str | None = None
    min_sdk: int | None = None
    target_sdk: int | None = None
    split: str | None = None
    application: str | None = None
    declared: tuple[tuple[str, str], ...] = ()
    needs_splits: bool = False
    notes: tuple[str, ...] = ()


def identity_of(elements: Elements, resolve: Resolver) -> Identity:
    """Read the attributes that matter. What cannot be resolved is None, with a note."""
    if "manifest" not in elements.first:
        return Identity(notes=("the manifest has no element <manifest>",))
    reading = _Reading(elements, resolve)
    code = reading.number("manifest", "versionCode")
    major = reading.number("manifest", "versionCodeMajor")
    if code is not None and major:
        reading.notes.append(
            f"versionCodeMajor {major}: the long version code is {major << 32 | code}"
        )
    declared = tuple(reading.declared())
    splits = elements.first["manifest"].get("isSplitRequired") or elements.first.get(
        "application", {}
    ).get("isSplitRequired")
    return Identity(
        package=reading.text("manifest", "package"),
        version_name=reading.text("manifest", "versionName"),
        version_code=code,
        label=reading.text("application", "label"),
        min_sdk=reading.number("uses-sdk", "minSdkVersion"),
        target_sdk=reading.number("uses-sdk", "targetSdkVersion"),
        split=reading.text("manifest", "split"),
        application=reading.text("application", "name"),
        declared=declared,
        needs_splits=bool(splits and splits != "false")
        or any(
            name == "com.android.vending.splits.required" and value not in ("0", "false")
            for name, value in declared
        ),
        notes=tuple(reading.notes),
    )


class _Reading:
    def __init__(self, elements: Elements, resolve: Resolver) -> None:
        self._elements, self._resolve = elements, resolve
        self.notes: list[str] = []

    def text(self, element: str, attribute: str) -> str | None:
        value = self._value(element, attribute)
        return None if value is None else str(value)

    def number(self, element: str, attribute: str) -> int | None:
        value = self._value(element, attribute)
        if value is None or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.notes.append(f"{attribute} is {value!r}, not a number")
            return None

    def declared(self) -> Iterator[tuple[str, str]]:
        """Names and values of what the manifest declares. What is no text is left out."""
        for _, attributes in self._elements.declared:
            name, value = attributes.get("name"), attributes.get("value")
            if isinstance(value, Reference):
                value = self._resolve(value)
            if isinstance(name, str):
                yield name, "" if value is None else str(value)

    def _value(self, element: str, attribute: str) -> str | int | None:
        value = self._elements.first.get(element, {}).get(attribute)
        if not isinstance(value, Reference):
            return value
        found = self._resolve(value)
        if found is None:
            self.notes.append(f"{attribute} is {value}, which is not in the app's resources")
        return found
