"""The command line as pages: one for every verb, made of what typer is told about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from edgewise.cli.examples import EXAMPLES
from edgewise.cli.main import VERBS, command_line
from site_pages import records
from site_pages.written import code, codes, page, paragraphs, table, text

FOLDER = "reference/verbs"
#: What one object of `--json` is, by verb: the record, or its fields where it is none; and of what.
OBJECTS: dict[str, tuple[str, str | tuple[str, ...]]] = {
    "scan": ("app", "App"),
    "fetch": ("app", "Fetched"),
    "diff": ("change", "Change"),
    "check": ("exceeded limit", "Violation"),
    "inspect": ("model", "Model"),
    "formats": ("format", ("format", "level", "extensions", "companions", "runtimes", "limits",
                           "sources")),
    "lineage": ("related pair", "Lineage"),
    "eval": ("model", "AccuracyRow"),
    "bench": ("model and target", "Measurement"),
    "devices": ("device", "Device"),
    "import": ("run that the file reports", "Measurement"),
    "energy": ("recording", ("path", "meter", "boundary", "reason", "inference_j", "gross_j", "net_j",
                             "mean_w", "idle_w", "rails", "notes")),
    "scenarios": ("scenario; with a store, scenario and model", ("name", "title", "tasks",
                  "inferences", "seconds", "rate_hz", "options", "source")),
    "simulate": ("policy and deadline", "SimulationRow"),
    "links": ("link, or published pair", "LinkProfile"),
    "recommend": ("recommendation", "Recommendation"),
    "serve": ("start", ("http", "grpc", "families", "models", "workers", "notes")),
    "load": ("run", "LoadRun"),
    "place": ("model, device and link", "Placement"),
    "plot": ("figure", ("name", "section", "title", "rows")),
    "query": ("row", ()),
    "study": ("row of a table", ("table",)),
    "doctor": ("finding", ("what", "status", "needed_for", "detail", "mend")),
}  # fmt: skip
#: Exit statuses that every verb has, and what they mean.
STATUSES = {
    0: "The work was done. A rejected model in an app or a folder is a finding, no failure.",
    1: "A path that was named could not be processed; the others were.",
    2: "Wrong usage: one line on standard error says what and where.",
    130: "Interrupted. What was finished is printed, and in the store.",
}
_OWN_STATUSES = {"check": {3: "A limit is exceeded."}}
_MARKUP = re.compile(r"\[/?(?:dim|bold|italic|green|red|cyan)\]")


def commands() -> dict[str, Any]:
    """The verbs in the order of the help."""
    group = typer.main.get_group(command_line([]))
    return {verb: group.commands[verb] for verb in VERBS}


def made() -> Iterator[tuple[str, str]]:
    """A page for each verb, and one that lists them."""
    rows = []
    for verb, command in commands().items():
        rows.append((f"[`{verb}`]({verb}.md)", text(_first(command.help))))
        yield f"{FOLDER}/{verb}.md", verb_page(verb, command)
    lead = (
        "`edgewise VERB --help` says the same in a terminal. `edgewise --debug VERB …` shows a "
        "traceback where an error is one line otherwise; `edgewise --version` the version; "
        "`edgewise --install-completion` completes verbs and options in your shell."
    )
    yield f"{FOLDER}/index.md", page(
        "Verbs", lead, table(("verb", "does"), rows), "## Exit status", _statuses({}),
    )  # fmt: skip


def verb_page(verb: str, command: Any) -> str:
    """Everything that a verb takes and gives."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [
        each for each in command.params
        if each.param_type_name == "option" and not each.hidden and each.name != "help"
    ]  # fmt: skip
    usage = " ".join(["edgewise", verb, "[OPTIONS]", *map(_placeholder, arguments)])
    parts = [paragraphs(_MARKUP.sub("", command.help or "")), f"```\n{usage}\n```"]
    if arguments:
        taken = [(code(_placeholder(each)), text(each.help or "")) for each in arguments]
        parts += ["## Arguments", table(("argument", "what"), taken)]
    if options:
        rows = [(_names(each), _default(each), text(each.help or "")) for each in options]
        parts += ["## Options", table(("option", "default", "what"), rows)]
    parts += ["## Examples", "```console\n" + "\n".join(EXAMPLES[verb]) + "\n```"]
    parts += ["## JSON", *_json(verb, {each.name for each in options})]
    parts += ["## Exit status", _statuses(_OWN_STATUSES.get(verb, {}))]
    return page(f"edgewise {verb}", *parts)


def _json(verb: str, options: set[str | None]) -> Iterator[str]:
    if verb not in OBJECTS or "as_json" not in options:
        yield "None: it prints no records."
        return
    one, what = OBJECTS[verb]
    yield f"With `--json`, one object a line per {one}."
    if isinstance(what, tuple):
        if what:
            yield f"Its fields: {codes(what)}."
        else:
            yield "Its fields are the columns that the query asks for."
        return
    yield f"Each is a [{what}](../../{records.anchor(what)}):"
    yield records.fields(records.records()[what], "../../")


def _statuses(own: dict[int, str]) -> str:
    rows = sorted({**STATUSES, **own}.items())
    return table(("status", "means"), ((str(status), means) for status, means in rows))


def _first(help_text: str | None) -> str:
    return re.split(r"(?<=[.:])\s", _MARKUP.sub("", help_text or "").strip())[0].rstrip(":")


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.human_readable_name.upper()
    name = name.strip("[]").removesuffix("...")
    many = "…" if argument.nargs == -1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def _names(option: Any) -> str:
    """Its spellings, with what it takes."""
    shown = [f"--{'/--'.join(n.lstrip('-') for n in (*option.opts[:1], *option.secondary_opts))}"]
    if option.secondary_opts:
        return code(shown[0])
    takes = "" if option.is_flag else f" {_takes(option)}"
    return ", ".join(code(f"{name}{takes}") for name in sorted(option.opts, key=len, reverse=True))


def _takes(option: Any) -> str:
    if option.metavar:
        return str(option.metavar)
    choices = getattr(option.type, "choices", None)
    if choices:
        return "|".join(str(getattr(each, "value", each)) for each in choices)
    name = str(option.type.name).removesuffix(" range")
    return {"int": "N", "integer": "N", "float": "X", "str": "TEXT"}.get(name, name.upper())


def _default(option: Any) -> str:
    default = option.default
    if option.required:
        return "required"
    if callable(default) or default is None or default in ("", [], ()) or default is False:
        return ""
    if default is True:
        return "on"
    return code(getattr(default, "value", default))
