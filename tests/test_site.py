"""Pages that are made of the code: nothing is missing, and what they say is what verbs print."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from doc_blocks import DATA
from edgewise.cli.examples import EXAMPLES
from edgewise.cli.main import VERBS, run
from site_pages import catalogue, figures, interface, notebook, records, verbs
from site_pages.written import codes, text


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The pages by their paths."""
    rooms = (verbs, records, catalogue, figures, interface, notebook)
    return {path: page for room in rooms for path, page in room.made()}


def test_every_verb_has_its_page_with_all_that_it_takes(made: dict[str, str]) -> None:
    for verb, command in verbs.commands().items():
        page = made[f"{verbs.FOLDER}/{verb}.md"]
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden and option.name != "help":
                assert option.opts[0].lstrip("-") in page, f"{verb} {option.opts}"
        assert all(line in page for line in EXAMPLES[verb])
    assert f"[`{verb}`]({verb}.md)" in made[f"{verbs.FOLDER}/index.md"]


def test_objects_are_those_of_the_verbs_that_print_some() -> None:
    printing = {
        verb for verb, command in verbs.commands().items()
        if any(each.name == "as_json" for each in command.params)
    }  # fmt: skip
    assert {*verbs.OBJECTS} == printing
    assert {*verbs.OBJECTS} <= {*VERBS}


@pytest.mark.parametrize(
    "line",
    ["scan demo.apk", "inspect digits/digits-s.tflite", "formats", "lineage digits",
     "diff demo.apk demo-1.1.apk", "check demo-1.1.apk --baseline demo.apk", "scenarios",
     "simulate --sla 200 --requests 100 --policy greedy",
     "place inception_v3 --profiles pixel3 --server p2 --link lte"],
)  # fmt: skip
def test_what_a_verb_prints_has_the_fields_of_its_page(
    made: dict[str, str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(DATA)
    run([*line.split(), "--json"])
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    page = made[f"{verbs.FOLDER}/{line.split(maxsplit=1)[0]}.md"]
    _, what = verbs.OBJECTS[line.split(maxsplit=1)[0]]
    named = what if isinstance(what, tuple) else tuple(records.records()[what].__struct_fields__)
    assert {*first} <= {*named}
    assert all(f"`{field}`" in page for field in named)


def test_every_declaration_is_on_its_page(made: dict[str, str]) -> None:
    from edgewise.apps.evidence.signatures import signatures
    from edgewise.formats import registry as formats
    from edgewise.network.catalogue import links, radios
    from edgewise.runtimes import registry as runtimes
    from edgewise.selection.policies.registry import policies

    declared = {
        "formats": [each.NAME for each in formats.formats()],
        "runtimes": [each.NAME for each in runtimes.runtimes()],
        "signatures": [each.name for each in signatures()],
        "networks": [*links(), *radios()],
        "policies": [*policies()],
    }
    for page, names in declared.items():
        assert names
        for name in names:
            assert f"`{name}`" in made[f"reference/{page}.md"], f"{page}: {name}"


def test_every_record_is_described_with_types_that_json_has(made: dict[str, str]) -> None:
    page = made[records.PAGE]
    for name in records.records():
        assert f"### {name}\n" in page
    assert "tuple[" not in page and "dict[" not in page


def test_words_stay_words() -> None:
    assert text("a <b> of `x|y` at https://e.org/a_b.") == (
        "a &lt;b&gt; of `x\\|y` at <https://e.org/a_b>."
    )
    assert codes(["a", "b|c"]) == "`a`, <code>b&#124;c</code>"
    assert Path(records.PAGE).name == "records.md"


@pytest.mark.parametrize(
    ("html", "fetched"),
    [('<img src="https://e.org/a.png">', True), ('<script src=//e.org/a.js></script>', True),
     ('<link rel="stylesheet" href="https://e.org/a.css">', True), ('<img src="a.png">', False),
     ('<a href="https://e.org">there</a>', False), ('<link rel="icon" href="a.png">', False)],
)  # fmt: skip
def test_a_page_that_fetches_from_elsewhere_is_refused(html: str, fetched: bool) -> None:
    pytest.importorskip("mkdocs")
    import hooks

    page = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))
    with pytest.raises(ValueError, match="elsewhere") if fetched else nullcontext():
        assert hooks.on_post_page(html, page, None) == html


def test_links_out_of_the_docs_lead_to_pages_of_the_site(made: dict[str, str]) -> None:
    pytest.importorskip("mkdocs")
    import hooks

    given = "[a](../CONTRIBUTING.md) [b](../src/edgewise/formats/registry.py) [c](../tests/x.py)"
    moved = hooks._moved(given, "docs", "reports.md")
    assert moved == "[a](contributing.md) [b](reference/formats.md) c"
    assert hooks._moved("[a](docs/store.md#x)", "", "changelog.md") == "[a](store.md#x)"
    for page in hooks._CODE.values():
        assert page.partition("#")[0] in made
