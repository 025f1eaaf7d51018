"""How often a loop runs, where the file fixes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tflite_models import Model, options

from edgewise.analysis.shapes import propagate
from edgewise.graph import Kind


def _loop(
    comparison: str = "LESS", start: int = 0, step: int = 1, limit: int = 5, *,
    swapped: bool = False, also: str | None = None, limit_carried: bool = False,
    limit_changed: bool = False,
) -> Model:  # fmt: skip
    """A loop over (counter, limit, x); the limit is a constant of the condition, or carried."""
    model = Model()
    main, cond, body = model.main, model.subgraph("cond"), model.subgraph("body")
    state = [main.tensor(data=np.int32(start)), main.tensor(data=np.int32(limit)), main.tensor([2])]
    main.table.inputs = state[2:]
    main.table.outputs = [main.tensor([], "INT32"), main.tensor([], "INT32"), main.tensor([2])]
    main.op("WHILE", state, main.table.outputs,
            options("While", condSubgraphIndex=1, bodySubgraphIndex=2))  # fmt: skip

    def carried(graph: Any) -> list[int]:
        return [graph.tensor([], "INT32"), graph.tensor([], "INT32"), graph.tensor([2])]

    cond.table.inputs = carried(cond)
    bound = cond.table.inputs[1] if limit_carried else cond.tensor(data=np.int32(limit))
    sides = [cond.table.inputs[0], bound]
    goes_on = cond.tensor([], "BOOL")
    cond.op(comparison, sides[::-1] if swapped else sides, [goes_on])
    if also:
        both = cond.tensor([], "BOOL")
        other = cond.tensor([], "BOOL")
        cond.op(also, sides, [other])
        cond.op("LOGICAL_AND", [goes_on, other], [both])
        goes_on = both
    cond.table.outputs = [goes_on]

    body.table.inputs = carried(body)
    counter, bound, x = body.table.inputs
    raised = body.tensor([], "INT32")
    body.op("ADD", [counter, body.tensor(data=np.int32(step))], [raised])
    if limit_changed:
        changed = body.tensor([], "INT32")
        body.op("NEG", [bound], [changed])
        bound = changed
    body.table.outputs = [raised, bound, x]
    return model


def _trips(**how: Any) -> int | None:
    return _counted(_loop(**how))


def _counted(model: Model) -> int | None:
    graph = model.graph()
    assert [layer.kind for layer in graph.layers] == [Kind.LOOP]
    return propagate(graph).trips[0]


@pytest.mark.parametrize(
    ("how", "trips"),
    [
        ({}, 5),
        ({"comparison": "LESS_EQUAL"}, 6),
        ({"comparison": "GREATER", "swapped": True}, 5),
        ({"comparison": "GREATER_EQUAL", "swapped": True}, 6),
        ({"start": 1, "step": 2, "limit": 6}, 3),
        ({"start": 1, "step": 2, "limit": 7}, 3),
        ({"comparison": "LESS_EQUAL", "start": 1, "step": 2, "limit": 7}, 4),
        ({"start": 9}, 0),
        ({"also": "LESS_EQUAL"}, 5),
        ({"limit_carried": True}, 5),
    ],
)
def test_a_counter_against_a_constant(how: dict[str, Any], trips: int) -> None:
    assert _trips(**how) == trips


@pytest.mark.parametrize(
    "how",
    [
        {"comparison": "GREATER"},
        {"comparison": "NOT_EQUAL"},
        {"step": 0},
        {"step": -1},
        {"also": "NOT_EQUAL"},
        {"limit_carried": True, "limit_changed": True},
    ],
)
def test_what_is_not_fixed(how: dict[str, Any]) -> None:
    assert _trips(**how) is None


def test_a_condition_that_joins_itself_ends() -> None:
    model = _loop(also="LESS")
    condition = model.table.subgraphs[1]
    condition.operators[-1].inputs = [condition.outputs[0]] * 2
    assert _counted(model) is None
