"""What the operators of classical machine learning (ai.onnx.ml) mean.

Linear models are fully connected layers whose weights are attributes; trees and dictionaries hold
no multiply-accumulates; support vector machines are unknown, their kernels being of several kinds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from edgewise.formats.kit import Meaning, function
from edgewise.formats.onnx.operator import Operator, Translation
from edgewise.graph import Kind, Tensor, Weights


def _classes(operator: Operator) -> int:
    for name in ("intercepts", "classlabels_ints", "classlabels_strings"):
        if operator.values(name):
            return len(operator.values(name))
    return 1


def _targets(operator: Operator) -> int:
    return operator.integer("targets", 1) or 1


def _linear(rows: Callable[[Operator], int], *outputs: int) -> Translation:
    """A fully connected layer with `rows` outputs."""

    def translate(operator: Operator) -> Meaning:
        coefficients, intercepts = (
            tuple(map(float, operator.values(name))) for name in ("coefficients", "intercepts")
        )
        units = rows(operator)
        if not coefficients or len(coefficients) % units:
            return Meaning(Kind.UNKNOWN)
        name = operator.outputs[0] if operator.outputs else operator.op
        weight = _stored(f"{name}.coefficients", coefficients, (units, len(coefficients) // units))
        bias = _stored(f"{name}.intercepts", intercepts, (len(intercepts),)) if intercepts else None
        return Meaning(Kind.DENSE, {}, (0, weight, bias), outputs or None)

    return translate


def _stored(name: str, values: tuple[float, ...], shape: tuple[int, ...]) -> Tensor:
    packed = struct.pack(f"<{len(values)}f", *values)
    return Tensor(name, "float32", shape, Weights(len(packed), lambda: memoryview(packed)))


_POSTPROCESS = Meaning(Kind.POSTPROCESS)

ML: Mapping[str, Translation] = {
    # Its first output is the label, the second the scores that the layer computes.
    "LinearClassifier": _linear(_classes, 1, 0),
    "LinearRegressor": _linear(_targets),
    "SVMClassifier": Meaning(Kind.UNKNOWN),
    "SVMRegressor": Meaning(Kind.UNKNOWN),
    "Scaler": function(Kind.UNARY, "scale"),
    "Imputer": function(Kind.UNARY, "impute"),
    "Binarizer": function(Kind.UNARY, "binarize"),
    "LabelEncoder": function(Kind.UNARY, "lookup"),
    "CategoryMapper": function(Kind.UNARY, "lookup"),
    "Normalizer": function(Kind.NORMALISE, "l2"),
    "FeatureVectorizer": Meaning(Kind.CONCAT, {"axis": 1}),
    "ArrayFeatureExtractor": Meaning(Kind.GATHER, {"axis": -1}),
    "CastMap": _POSTPROCESS,
    "DictVectorizer": _POSTPROCESS,
    "OneHotEncoder": _POSTPROCESS,
    "TreeEnsemble": _POSTPROCESS,
    "TreeEnsembleClassifier": _POSTPROCESS,
    "TreeEnsembleRegressor": _POSTPROCESS,
    "ZipMap": _POSTPROCESS,
}
