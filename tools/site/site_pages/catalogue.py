"""What can be read, run, measured and reached, as pages made of the declarations in the code."""

from __future__ import annotations

import inspect
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

from site_pages.written import code, codes, page, paragraphs, table, text

FOLDER = "reference"
_LEVELS = {
    "graph": "the network: layers with shapes and costs",
    "operators": "operators or weights alone",
    "identified": "which format it is, nothing more",
}


def made() -> Iterator[tuple[str, str]]:
    """All pages of this kind."""
    for write in (formats, runtimes, delegates, devices, meters, sources, signatures):
        name = write.__name__
        yield f"{FOLDER}/{name}.md", write()


def formats() -> str:
    """Model formats: what is read of each, files beside, limits, sources."""
    from edgewise.formats import registry
    from edgewise.runtimes import registry as runtimes

    known = registry.formats()
    rows = [
        (
            _to(fmt.NAME),
            _LEVELS[fmt.LEVEL],
            codes(fmt.EXTENSIONS),
            codes(runtimes.names_for(fmt.NAME)),
        )
        for fmt in known
        if fmt.LEVEL != "identified"
    ]
    parts = [
        "A file is of a format because its bytes say so; its name alone only makes it a candidate. "
        "A file that breaks its format is rejected, one that is compiled or encrypted is opaque, "
        "and both are counted. `edgewise formats` prints this list as it is installed. How a format "
        "is added: [Add a format](../extending/format.md).",
        table(("format", "what is read", "file names", "runs on"), rows),
        "Files in a folder, an archive or at any offset of another file are found the same way.",
    ]
    for fmt in known:
        if fmt.LEVEL != "identified":
            parts += [f"## {fmt.NAME}", *_format(fmt)]
    closed = [
        (code(fmt.NAME), codes(fmt.EXTENSIONS[:4]), text(getattr(fmt, "reason", "")), _urls(fmt.SOURCES))
        for fmt in known
        if fmt.LEVEL == "identified"
    ]  # fmt: skip
    listed = tomllib.loads((files("edgewise.formats") / "unread.toml").read_text("utf-8"))["format"]
    unread = [
        (code(each["name"]), codes(each.get("endings", ())), text(each["source"]))
        for each in listed
    ]
    parts += [
        "## Only identified", "Such a file is opaque: it is named and counted, with the reason.",
        table(("format", "file names", "why nothing more is told", "source"), closed),
        "## Not read yet", "Such a file counts as not examined.",
        table(("format", "file names", "source"), unread),
    ]  # fmt: skip
    return page("Formats", *parts)


def _format(fmt: Any) -> Iterator[str]:
    module = fmt if inspect.ismodule(fmt) else sys.modules[type(fmt).__module__]
    yield paragraphs(
        (module.__doc__ or "").replace(": what `formats.registry` asks of a format", "")
    )
    beside = (f"{code(each.other)} ({each.holds})" for each in fmt.SIBLINGS)
    yield table(("", ""), [
        ("**Read**", _LEVELS[fmt.LEVEL]),
        ("**File names**", codes(fmt.EXTENSIONS, "any")),
        ("**Files beside**", ", ".join(beside) or "none"),
        ("**Refused beyond**", ", ".join(f"{n:,} {what}" for what, n in fmt.LIMITS.items()) or "–"),
        ("**Written down at**", _urls(fmt.SOURCES)),
    ])  # fmt: skip


def runtimes() -> str:
    """Runtimes: formats, delegates, options, the extra that brings each."""
    from edgewise.runtimes import registry

    parts = [
        "What `bench`, `eval`, `place` and `serve` run models with. Of those that run a format the "
        "first here is the default; `--runtime a,b` compares several. `edgewise doctor` says which "
        "are installed. Limits that hold for all: [Measuring](../measuring.md). How one is added: "
        "[Add a runtime](../extending/runtime.md).",
        table(
            ("runtime", "runs", "default delegate", "extra"),
            (
                (_to(each.NAME), codes(each.FORMATS), code(each.DEFAULT_DELEGATE), code(each.EXTRA))
                for each in registry.runtimes()
            ),
        ),
    ]
    for each in registry.runtimes():
        parts += [f"## {each.NAME}", paragraphs(each.__doc__ or ""),
                  f"```\npip install 'edgewise[{each.EXTRA}]'\n```"]  # fmt: skip
        if told := _told(each):
            parts.append(f"**Tells:** {told}.")
        if options := getattr(each, "OPTIONS", ()):
            parts.append(table(
                ("`--option`", "what", "values", "default"),
                ((code(o.name), text(o.help), codes(o.values, "any"), code(o.default or "–"))
                 for o in options),
            ))  # fmt: skip
    return page("Runtimes", *parts)


#: What a session may tell beside outputs and times, by the method that does.
_TELLS = {
    "coverage": "which operators the delegate took", "layer_times": "times per layer",
    "used": "settings as they were really used",
}  # fmt: skip


def _told(runtime: Any) -> str:
    """What the sessions of a runtime tell: what they define and do not leave to the contract."""
    sessions = [
        each for each in vars(runtime).values()
        if inspect.isclass(each) and each.__module__ == runtime.__name__ and hasattr(each, "feed")
    ]  # fmt: skip
    return ", ".join(what for name, what in _TELLS.items()
                     if any(name in vars(session) for session in sessions))  # fmt: skip


def delegates() -> str:
    """Delegates and execution providers: which operators each takes, and by which rules."""
    from edgewise.analysis.deployability import targets
    from edgewise.formats import registry

    known = dict.fromkeys(each for fmt in registry.formats() for each in targets(fmt.NAME))
    parts = [
        "Which operators a model may have to be handed over whole. `edgewise inspect` holds every model "
        "against these lists; what they leave out (attributes, fused activations, a phone's driver) is "
        "told in [Deployability](../deployability.md).",
    ]
    for target in known:
        rows = [
            (
                codes(sorted(group.ops)),
                codes(sorted(group.types or ()), "any"),
                text(_conditions(group)),
            )
            for group in target.group
        ]
        parts += [
            f"## {target.name}, of {' and '.join(target.formats)}", text(target.source),
            table(("operators", "number types", "where"), rows),
        ]  # fmt: skip
        if target.folded:
            folded = ", ".join(
                "any operator" if op == "*" else code(op) for op in sorted(target.folded)
            )
            parts.append(f"Worked out before, where all that they take is stored: {folded}.")
    return page("Delegates", *parts)


def _conditions(group: Any) -> str:
    told = []
    if group.constant:
        told.append("parameters stored in the file")
    if group.stored:
        told.append(f"weights of {', '.join(sorted(group.stored))}")
    if group.ranks:
        told.append(f"{', '.join(map(str, group.ranks))} dimensions")
    if group.zero:
        told.append(f"{', '.join(group.zero)} 0")
    return "; ".join(told)


_PHASES = {
    "load": "loading", "evicted": "loading with an empty page cache", "profile": "times per layer",
    "energy": "energy", "sustained": "minutes on end",
}  # fmt: skip


def devices() -> str:
    """Kinds of devices: names, what their processes can do, runtimes."""
    from edgewise.devices import registry
    from edgewise.devices.contract import EVERY_PHASE
    from edgewise.devices.tools.registry import readers

    rows = []
    for kind in registry.kinds():
        phases = _phases_of(kind)
        can = ", ".join(_PHASES[each] for each in _PHASES if each in phases)
        cannot = ", ".join(_PHASES[each] for each in _PHASES if each in EVERY_PHASE - phases)
        runs = codes(kind.RUNTIMES) if kind.RUNTIMES else "[all](runtimes.md)"
        what = (kind.__doc__ or "").strip().split("\n\n")[0]
        rows.append((codes(kind.SYNTAX.split(", ")), text(what), runs, can, cannot or "–"))
    tools = [
        (code(each.NAME), text((sys.modules[each.__name__].__doc__ or "").split("\n\n")[0]))
        for each in readers()
        if inspect.ismodule(each)
    ]
    return page(
        "Devices",
        "`edgewise bench --device NAME` measures there; timed runs of a model work on every kind. "
        "What each needs and where it stops is in [Devices](../devices.md); how one is added, in "
        "[Add a kind of device](../extending/device.md). iOS devices are not measured on.",
        table(("name", "what", "runtimes", "beside timed runs", "not"), rows),
        "## Outputs of other tools",
        "`edgewise import FILE…` reads what these printed, as measurements of origin `imported`.",
        table(("tool", "what is read"), tools),
    )


def _phases_of(kind: Any) -> frozenset[str]:
    """What beside timed runs the devices of a kind can do: as their class in its module says."""
    for each in vars(kind).values():
        if inspect.isclass(each) and each.__module__ == kind.__name__:
            phases = vars(each).get("phases")
            if isinstance(phases, frozenset):
                return phases
    return frozenset()


def meters() -> str:
    """Meters: what each reads, its boundary, what goes wrong."""
    from edgewise.energy.meters import registry

    parts = [
        "`bench --meter NAME` reads one beside a measurement, `edgewise energy FILE` a recording. What "
        "is refused and why: [Energy](../energy.md). How one is added: "
        "[Add a meter](../extending/meter.md).",
        table(
            ("meter", "reads", "where it lies"),
            ((_to(each.NAME), text(each.HELP), codes(f"/{home}" for home in each.HOMES) if each.HOMES
              else "logs only") for each in registry.kinds()),
        ),
    ]  # fmt: skip
    for each in registry.kinds():
        boundary = getattr(each, "BOUNDARY", None)
        parts += [f"## {each.NAME}", paragraphs(each.__doc__ or "")]
        if boundary:
            parts.append(f"**Boundary:** {text(boundary)}.")
    return page("Meters", *parts)


def sources() -> str:
    """Sources of apps, and the extractors of evidence."""
    from edgewise.apps.evidence.registry import extractors
    from edgewise.apps.sources import registry

    return page(
        "Sources of apps",
        "`edgewise fetch ADDRESS -o FOLDER` brings packages; which source an address is of follows from "
        "how it is written. How one is added: [Add a source](../extending/source.md).",
        table(
            ("source", "address", "what"),
            ((code(each.NAME), text(each.ADDRESS), _doc(each)) for each in registry.sources()),
        ),
        "## Extractors of evidence",
        "Every entry of a package is shown to them. [Evidence](../evidence.md) says what their "
        "sightings become.",
        table(("extractor", "what"), ((code(each.NAME), _doc(each)) for each in extractors())),
    )


#: Fields of a signature that are patterns, in the order shown, and where each is looked for.
_LOOKED_FOR = {
    "classes": "classes", "calls": "calls", "loaders": "calls that load a model", "texts": "texts in code",
    "libraries": "native libraries", "exports": "exported symbols", "native_texts": "native texts",
    "imports": "linked libraries", "manifest": "manifest", "assets": "files", "web": "scripts",
    "hosts": "hosts", "files": "package descriptions",
}  # fmt: skip
_KINDS = {
    "framework": "Frameworks", "accelerator": "Accelerators", "cloud_api": "Cloud APIs",
    "packer": "Packers", "llm": "Language models",
}  # fmt: skip
_SHOWN = 4


def signatures() -> str:
    """Signatures of evidence: name, what is looked for, source."""
    from edgewise.apps.evidence.signatures import signatures as all_signatures

    by_kind: dict[str, list[Any]] = defaultdict(list)
    for each in all_signatures():
        by_kind[each.kind].append(each)
    parts = [
        f"What `scan` looks for in the code of an app: {len(all_signatures())} signatures, each a "
        "table of TOML with an example that is tested. How sure a sighting is, and what it misses: "
        "[Evidence](../evidence.md). How one is added: [Add a signature](../extending/signature.md).",
        table(("kind", "signatures"), ((f"[{title}](#{_slug(title)})", str(len(by_kind[kind])))
                                       for kind, title in _KINDS.items())),
    ]  # fmt: skip
    for kind, title in _KINDS.items():
        rows = [
            (f"{code(each.name)}<br>{text(each.source)}", _looked_for(each))
            for each in sorted(by_kind[kind], key=lambda one: one.name)
        ]
        parts += [f"## {title}", table(("name and source", "looked for"), rows)]
    return page("Signatures", *parts)


def _looked_for(signature: Any) -> str:
    found = []
    for name, what in _LOOKED_FOR.items():
        patterns = getattr(signature, name)
        if patterns:
            more = f" and {len(patterns) - _SHOWN} more" if len(patterns) > _SHOWN else ""
            found.append(f"{what}: {codes(patterns[:_SHOWN])}{more}")
    if signature.version or signature.symbol_version:
        found.append("its version is told")
    return "<br>".join(found)


def _doc(thing: Any) -> str:
    return text((thing.__doc__ or "").strip())


def _to(name: str) -> str:
    return f"[{code(name)}](#{_slug(name)})"


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def _urls(urls: Iterable[str]) -> str:
    return "<br>".join(f"<{url}>" for url in urls)
