"""TensorFlow's operators that need no rule of their own, by what they are."""

from __future__ import annotations

UNARY = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh",
    "Atan": "atan", "Atanh": "atanh", "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Elu": "elu",
    "Erf": "erf", "Erfc": "erfc", "Exp": "exp", "Expm1": "expm1", "Floor": "floor",
    "Inv": "reciprocal", "IsFinite": "is_finite", "IsInf": "is_inf", "IsNan": "is_nan",
    "LeakyRelu": "leaky_relu", "Lgamma": "lgamma", "Log": "log", "Log1p": "log1p",
    "LogicalNot": "not", "Neg": "neg", "OnesLike": "ones_like", "Reciprocal": "reciprocal",
    "Relu": "relu", "Relu6": "relu6", "Rint": "round", "Round": "round", "Rsqrt": "rsqrt",
    "Selu": "selu", "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh",
    "Softplus": "softplus", "Softsign": "softsign", "Sqrt": "sqrt", "Square": "square",
    "Tan": "tan", "Tanh": "tanh", "ClipByValue": "clip", "Gelu": "gelu", "_FusedSwish": "swish",
    "FakeQuantWithMinMaxVars": "fake_quant", "FakeQuantWithMinMaxArgs": "fake_quant",
    "FakeQuantWithMinMaxVarsPerChannel": "fake_quant", "Digamma": "digamma", "Invert": "not",
}  # fmt: skip

BINARY = {
    "Add": "add", "AddV2": "add", "AddN": "add", "AccumulateNV2": "add", "Sub": "sub",
    "Mul": "mul", "MulNoNan": "mul", "Div": "div", "DivNoNan": "div", "RealDiv": "div",
    "TruncateDiv": "div", "FloorDiv": "floor_div", "Mod": "mod", "FloorMod": "mod",
    "TruncateMod": "mod", "Pow": "pow", "Maximum": "max", "Minimum": "min", "Equal": "equal",
    "NotEqual": "not_equal", "Less": "less", "LessEqual": "less_equal", "Greater": "greater",
    "GreaterEqual": "greater_equal", "LogicalAnd": "and", "LogicalOr": "or", "Atan2": "atan2",
    "SquaredDifference": "squared_difference", "Xdivy": "div", "Xlogy": "mul",
    "ApproximateEqual": "equal", "BitwiseAnd": "and", "BitwiseOr": "or", "BitwiseXor": "xor",
    "LeftShift": "left_shift", "RightShift": "right_shift",
}  # fmt: skip

SAME = (
    "Identity", "StopGradient", "PreventGradient", "Snapshot", "CheckNumerics", "ReadVariableOp",
    "Enter", "LoopCond", "NextIteration", "TensorListFromTensor", "PlaceholderWithDefault",
    "EnsureShape", "_Arg", "_Retval", "Print", "RefIdentity", "DebugIdentity", "Copy",
    "OptionalGetValue", "DisableCopyOnRead",
)  # fmt: skip

SAME_SHAPE = (
    "ReverseV2", "Reverse", "ReverseSequence", "RandomShuffle", "MatrixBandPart", "ZerosLike",
    "InvertPermutation", "Roll", "Dropout", "MatrixInverse", "Cholesky", "MatrixSetDiag",
)  # fmt: skip

AS_STATED = (
    "Assert", "NoOp", "NonMaxSuppression", "NonMaxSuppressionV2", "NonMaxSuppressionV3",
    "NonMaxSuppressionV4", "NonMaxSuppressionV5", "CombinedNonMaxSuppression", "CropAndResize",
    "DecodeJpeg", "DecodePng", "DecodeRaw", "ParseExample", "ParseExampleV2", "AsString",
    "RandomUniform", "RandomStandardNormal", "TruncatedNormal", "Multinomial", "RandomUniformInt",
    "ExtractImagePatches", "LinSpace", "MatrixDiag", "MatrixDiagV3", "SparseToDense", "Bincount",
    "SegmentSum", "SegmentMean", "UnsortedSegmentSum", "HistogramFixedWidth", "IteratorGetNext",
    "StringJoin", "ReduceJoin", "RegexReplace", "StringSplit", "StringToHashBucketFast",
    "LookupTableFindV2", "CTCGreedyDecoder", "CTCBeamSearchDecoder", "Dequantize", "Size_",
    "EmptyTensorList", "TensorListLength", "TensorListElementShape", "StatelessRandomUniformV2",
    "Dilation2D", "Where", "Unique", "UniqueV2", "SetDiff1D", "ListDiff", "DynamicPartition",
    "DynamicStitch", "TensorArrayV3", "TensorArraySizeV3", "TensorArrayReadV3",
    "TensorArrayWriteV3", "TensorArrayGatherV3", "TensorArrayScatterV3", "AudioSpectrogram",
    "Mfcc", "RFFT", "FFT", "IRFFT", "Complex", "ComplexAbs", "Real", "Imag", "Angle",
)  # fmt: skip

VARIABLES = (
    "AssignVariableOp", "Assign", "AssignAddVariableOp", "VarIsInitializedOp", "HashTableV2",
    "MutableHashTableV2", "TensorListReserve", "IsVariableInitialized",
)  # fmt: skip

REDUCE = {
    "Mean": "mean", "Sum": "sum", "Prod": "prod", "Max": "max", "Min": "min", "All": "all",
    "Any": "any", "EuclideanNorm": "l2",
}  # fmt: skip
