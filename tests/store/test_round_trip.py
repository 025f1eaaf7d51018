"""Whatever a record holds comes back from the store."""

from __future__ import annotations

import uuid
from typing import get_type_hints

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewise.records import (
    App,
    Context,
    Deployability,
    LayerRow,
    Measurement,
    Model,
    Port,
    TensorRow,
)
from edgewise.store import Store

_ints = st.integers(-(2**63) + 1, 2**63 - 1)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_floats = st.floats(allow_nan=False)
st.register_type_strategy(int, _ints)
st.register_type_strategy(str, _texts)
st.register_type_strategy(float, _floats)


def built(record: type, **given_: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Records of a type with every field drawn."""
    hints = get_type_hints(record)
    return st.builds(
        record, **{name: given_.get(name, st.from_type(hint)) for name, hint in hints.items()}
    )


# Hypothesis takes msgspec's marks of default factories for values.
st.register_type_strategy(Context, built(Context))
st.register_type_strategy(Deployability, built(Deployability))
_ports = st.tuples(built(Port))
# An empty table of details reads back as none: a store has no row that would tell them apart.
_models = built(
    Model,
    inputs=_ports,
    outputs=st.none(),
    layer_table=st.none() | st.tuples(built(LayerRow)),
    tensors=st.none() | st.tuples(built(TensorRow)),
)
_apps = built(App, models=st.tuples(_models) | st.just(()))

_quick = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@_quick
@given(_apps, built(Measurement))
def test_records_come_back_equal(app: App, measurement: Measurement) -> None:
    store = Store.open(f"memory://{uuid.uuid4().hex}", create=True)
    store.append([app, measurement])
    assert store.apps() == [app]
    assert store.measurements() == [measurement]
    assert store.models() == list(app.models)
