"""Violations as SARIF 2.1.0, which code hosts show beside a change.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgewise import __version__
from edgewise.records import Violation

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(violations: Sequence[Violation], artifact: str) -> dict[str, Any]:
    """A log with one run. `artifact` is the path of what was checked."""
    rules = sorted({violation.rule for violation in violations})
    driver = {
        "name": "edgewise",
        "version": __version__,
        "rules": [
            {"id": rule, "shortDescription": {"text": f"limit {rule} of the budget"}}
            for rule in rules
        ],
    }
    results = [
        {
            "ruleId": violation.rule,
            "ruleIndex": rules.index(violation.rule),
            "level": "error",
            "message": {"text": violation.message},
            "locations": [
                {
                    "physicalLocation": {"artifactLocation": {"uri": _uri(artifact)}},
                    "logicalLocations": [{"fullyQualifiedName": violation.subject}],
                }
            ],
        }
        for violation in violations
    ]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path, safe="/:!")
