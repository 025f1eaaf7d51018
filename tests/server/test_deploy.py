"""What comes with the service to run it: the image, the compose file, the alerts, the dashboard.

Nothing here starts a container; that what they name exists is checked against the service's own
metrics, the package's extras and the files.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("prometheus_client", reason="the extra 'serve' is not installed")

import yaml
from operated import afternoon, failed, sources
from prometheus_client.parser import text_string_to_metric_families

from edgewise.cli.serve import serve
from edgewise.server.events import Evicted
from edgewise.server.operations.assembly import Operations

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "edgewise.json").read_text("utf-8"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
IMAGE = (DEPLOY / "Containerfile").read_text("utf-8")
#: What Prometheus adds to every sample, and what it makes itself.
_ADDED = {"job", "instance"}
_MADE = {"up": _ADDED}


@cache
def exported() -> dict[str, set[str]]:
    """The service's samples by name, each with the names of its labels."""
    log = SimpleNamespace(listen=lambda event: None, dropped=1)
    operations = Operations(sources(), log=cast(Any, log))
    for event in (*afternoon(60), failed(), Evicted("digits", "digits-s", 0, 3_400_000, 1.0)):
        operations.listen(event)
    text, _ = operations.metrics()
    return {
        sample.name: set(sample.labels) | _ADDED
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def questions() -> Iterator[tuple[str, str]]:
    """All PromQL of the dashboard, the alerts and the documentation, with the labels it shows."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))[
        "groups"
    ]:
        for rule in group["rules"]:
            told = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
            yield rule["expr"], " ".join(f"{{{{{label}}}}}" for label in told)
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    (block,) = re.findall(r"```promql\n(.*?)```", page, re.S)
    yield from ((line, "") for line in block.splitlines() if not line.startswith("#"))


_SELECTED = re.compile(r"\b(?:edgewise|process)_\w+|\bup\b")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
_MATCHED = re.compile(r"(\w+)\s*=~?\s*\"")


@pytest.mark.parametrize(("expression", "legend"), list(questions()))
def test_what_is_asked_is_exported(expression: str, legend: str) -> None:
    named = _SELECTED.findall(expression)
    assert named
    labels: set[str] = set()
    for name in named:
        assert name in exported() | _MADE, f"{name} is no metric of the service"
        labels |= (exported() | _MADE)[name]
    grouped = {label.strip() for by in _GROUPED.findall(expression) for label in by.split(",")}
    assert grouped | {*_MATCHED.findall(expression)} <= labels
    left = (grouped - {"le"}) if grouped else labels
    assert {*re.findall(r"{{\s*(\w+)\s*}}", legend)} <= left, "the legend names what is left"


def test_every_metric_of_the_documentation_is_exported() -> None:
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    known = exported().keys() | {name.removesuffix("_bucket") for name in exported()}
    assert {*re.findall(r"`(edgewise_[a-z_]+)`", page)} <= known


def test_panels_are_told_apart_and_have_a_unit() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken) and max(x for x, _ in taken) < 24, "none over another"
    charts = [panel for panel in panels if panel["type"] != "row"]
    assert all(panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
               for panel in charts)  # fmt: skip


def test_the_dashboard_is_provisioned_with_its_data_source() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel}
    used |= {variable["datasource"]["uid"] for variable in DASHBOARD["templating"]["list"]}
    assert used == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((folder / "dashboards" / "edgewise.yaml").read_text())["providers"]
    grafana = COMPOSE["services"]["grafana"]
    assert mounted(grafana)[provider["options"]["path"]] == DEPLOY / "grafana" / "dashboards"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/edgewise.json"


def mounted(service: dict[str, Any]) -> dict[str, Path]:
    """What is mounted from this checkout, by where."""
    found = {}
    for volume in service["volumes"]:
        here, there = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[:2]
        if here.startswith("."):
            found[there] = (DEPLOY / here).resolve()
    return found


def test_what_is_composed_is_there() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert all(path.exists() for path in mounted(service).values())
        # A secret or nothing, and nothing that other machines reach unasked.
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        named = {volume.partition(":")[0] for volume in service["volumes"]}
        assert {name for name in named if re.fullmatch(r"\w+", name)} <= COMPOSE["volumes"].keys()
    assert (mounted(services["edgewise"])["/models"] / "family.toml").exists()
    built = services["edgewise"]["build"]
    assert (DEPLOY / built["context"] / built["dockerfile"]).resolve() == DEPLOY / "Containerfile"
    (scraped,) = PROMETHEUS["scrape_configs"]
    assert scraped["static_configs"] == [{"targets": ["edgewise:8080"]}]
    (secret,) = services["prometheus"]["secrets"]
    assert scraped["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"][secret]["environment"] in services["edgewise"]["environment"]


def test_the_image_is_of_what_there_is() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.findall(r"^ARG EXTRAS=(.*)$", IMAGE, re.M)[0].split(",")
    assert set(extras) <= set(stated["optional-dependencies"])
    assert "serve" in extras
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert all((ROOT / name).exists() for name in kept)
    assert {stated["readme"], *stated["license-files"], "pyproject.toml", "src"} <= set(kept)
    _, last = IMAGE.rsplit("\nFROM ", 1)
    assert re.search(r"^USER \d+$", last, re.M), "not root, and by number"
    check = re.search(r"^HEALTHCHECK .*\n \[\"python\", \"-c\", (\".*\")\]$", last, re.M)
    assert check is not None
    compile(json.loads(check[1]), "HEALTHCHECK", "exec")


def test_the_commands_are_of_the_command_line() -> None:
    (given,) = re.findall(r"^CMD (\[.*\])$", IMAGE, re.M)
    options = {f"--{name.replace('_', '-')}" for name in serve.__annotations__}
    for words in (json.loads(given), COMPOSE["services"]["edgewise"]["command"]):
        assert words[0] == "serve"
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options
        assert {"--host", "--state"} <= used
