"""A bill of materials of an app: CycloneDX JSON with its models, frameworks and cloud APIs.

Format: https://cyclonedx.org/docs/1.6/json/ (components of type `machine-learning-model`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgewise.apps.diff import shipped
from edgewise.apps.sides import inside, name_of
from edgewise.errors import MissingExtra
from edgewise.records import App, Evidence, Model

if TYPE_CHECKING:
    from cyclonedx.model import HashType, Property
    from cyclonedx.model.component import Component
    from cyclonedx.model.service import Service

_VERSION = re.compile(r"v?[0-9]+(?:\.[0-9]+)+")
#: What of a model becomes a property, if it is known.
_PROPERTIES = ("format", "status", "level", "reach", "size_bytes", "parameters", "macs",
               "weight_bytes", "quantization", "task", "producer")  # fmt: skip


def bill_of_materials(app: App) -> str:
    """The bill of one app, as JSON text.

    Raises:
        MissingExtra: the library for CycloneDX is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
    except ImportError as error:
        raise MissingExtra("bom", "a bill of materials") from error
    root = Component(
        name=name_of(app), version=app.version_name, type=ComponentType.APPLICATION,
        bom_ref=f"app:{app.sha256}", hashes=_hashes(app.sha256),
        properties=_properties({"package_kind": app.kind, "size_bytes": app.size_bytes}),
    )  # fmt: skip
    bom = Bom()
    bom.metadata.component = root
    parts = [_model(app, number, model) for number, model in enumerate(shipped(app))]
    parts += [_library(key, rows) for key, rows in _by_name(app, ("framework", "llm")).items()]
    services = [_service(key, rows) for key, rows in _by_name(app, ("cloud_api",)).items()]
    for part in parts:
        bom.components.add(part)
    for service in services:
        bom.services.add(service)
    bom.register_dependency(root, [*parts, *services])
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _model(app: App, number: int, model: Model) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    known = {name: getattr(model, name) for name in _PROPERTIES}
    return Component(
        name=inside(app, model.path), type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{number}:{model.sha256}", hashes=_hashes(model.sha256),
        description=model.metadata.get("model_description"),
        properties=_properties({"path": inside(app, model.path), **known}),
    )  # fmt: skip


def _library(key: tuple[str, str], rows: list[Evidence]) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    version = next((m[0] for row in rows if (m := _VERSION.match(row.detail))), None)
    return Component(
        name=key[1], version=version, type=ComponentType.LIBRARY, bom_ref=f"{key[0]}:{key[1]}",
        properties=_properties(_seen(rows)),
    )  # fmt: skip


def _service(key: tuple[str, str], rows: list[Evidence]) -> Service:
    from cyclonedx.model import XsUri
    from cyclonedx.model.service import Service

    addresses = [row.detail for row in rows if row.grade == "url" and "://" in row.detail]
    return Service(
        name=key[1], bom_ref=f"{key[0]}:{key[1]}",
        endpoints=[XsUri(address) for address in addresses], properties=_properties(_seen(rows)),
    )  # fmt: skip


def _seen(rows: list[Evidence]) -> dict[str, object]:
    return {
        "evidence": ", ".join(row.grade for row in rows),
        "reach": next((row.reach for row in rows if row.reach), None),
        "where": "; ".join(row.where for row in rows),
    }


def _by_name(app: App, kinds: tuple[str, ...]) -> dict[tuple[str, str], list[Evidence]]:
    found: dict[tuple[str, str], list[Evidence]] = {}
    for row in app.evidence:
        if row.kind in kinds:
            found.setdefault((row.kind, row.name), []).append(row)
    return found


def _hashes(sha256: str | None) -> list[HashType]:
    from cyclonedx.model import HashAlgorithm, HashType

    return [] if sha256 is None else [HashType(alg=HashAlgorithm.SHA_256, content=sha256)]


def _properties(values: dict[str, object]) -> list[Property]:
    from cyclonedx.model import Property

    return [
        Property(name=f"edgewise:{name}", value=str(value))
        for name, value in values.items() if value is not None
    ]  # fmt: skip
