"""The numbers of MNN's schema, as data: slots of tables, types of operators, types of data."""

from __future__ import annotations

from typing import Final

#: DataType, by number (the same as TensorFlow's).
TYPES: Final = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string",
    9: "int64", 10: "bool", 11: "int8", 12: "uint8", 13: "int32", 14: "bfloat16", 15: "int16",
    16: "uint16", 17: "uint16", 19: "float16",
}  # fmt: skip
NCHW, NHWC, NC4HW4 = 0, 1, 2


class NetSlot:
    """Fields of Net."""

    DESCRIBED, EXTRA, OPERATORS, OUTPUTS = 1, 2, 3, 4
    SOURCE, NAMES, SUBGRAPHS = 6, 7, 10


class OpSlot:
    """Fields of Op."""

    INPUTS, MAIN_TYPE, MAIN, NAME, OUTPUTS, TYPE, LAYOUT = 0, 1, 2, 3, 4, 5, 6


class SubgraphSlot:
    """Fields of SubGraphProto."""

    NAME, INPUTS, OUTPUTS, NAMES, OPERATORS = 0, 1, 2, 3, 4


class BlobSlot:
    """Fields of Blob; its elements stand in the vector of their type."""

    DIMS, LAYOUT, TYPE, EXTERNAL = 0, 1, 2, 9
    #: Slot and bytes of an element, by data type.
    DATA: Final = {
        "uint8": (3, 1), "int8": (4, 1), "int32": (5, 4), "int64": (6, 8), "float32": (7, 4),
        "bool": (5, 4), "float16": (3, 1), "bfloat16": (3, 1),
    }  # fmt: skip


class ConvSlot:
    """Fields of Convolution2D and, up to EXTERNAL, of Convolution3D."""

    COMMON, WEIGHT, BIAS, QUANTISED, SYMMETRIC, EXTERNAL = 0, 1, 2, 3, 4, 6
    EXTERNAL_3D = 3


class CommonSlot:
    """Fields of Convolution2DCommon."""

    PAD_X, PAD_Y, KERNEL_X, KERNEL_Y, STRIDE_X, STRIDE_Y, DILATE_X, DILATE_Y = range(8)
    PAD_MODE, GROUP, OUTPUTS, INPUTS, RELU, RELU6, PADS, OUT_PADS, HAS_SHAPE = range(8, 17)


class Common3DSlot:
    """Fields of Convolution3DCommon."""

    DILATES, STRIDES, KERNELS, PADS, PAD_MODE, INPUTS, OUTPUTS, RELU, RELU6, GROUP = range(10)
    OUT_PADS = 10


class QuantSlot:
    """Fields of IDSTQuan: quantised weights of a convolution."""

    BUFFER, ALPHA, TYPE, WIDE, BITS, WIDE_SHAPE = 0, 1, 2, 3, 7, 11
    #: Values of TYPE.
    INDEXED, SPARSE, FLOAT16, INT8 = 1, 2, 3, 4


#: Operators by number. Numbers that were given anew have the newer name.
OPERATORS: Final = dict(
    enumerate(
        (
            "AbsVal", "QuantizedAdd", "ArgMax", "AsString", "InstanceNorm", "BatchToSpaceND",
            "Copy", "BinaryOp", "Bnll", "Cast", "Concat", "Const", "Convolution",
            "ConvolutionDepthwise", "Crop", "CropAndResize", "ImageProcess", "Deconvolution",
            "DeconvolutionDepthwise", "Dequantize", "DetectionOutput", "Dropout", "Eltwise", "ELU",
            "Unique", "Exp", "ExpandDims", "Fill", "Flatten", "Im2Col", "Gather", "GatherV2",
            "Im2Seq", "InnerProduct", "Input", "Interp", "Log", "LRN", "LSTM", "MatMul", "MVN",
            "NonMaxSuppression", "NonMaxSuppressionV2", "Normalize", "Pack", "Padding", "Permute",
            "Pooling", "Power", "PReLU", "PriorBox", "Proposal", "QuantizedAvgPool",
            "QuantizedBiasAdd", "QuantizedConcat", "QuantizedDepthwiseConv2D", "QuantizedLogistic",
            "RasterAndInterpolate", "QuantizedMaxPool", "Texture", "RasterDiff",
            "QuantizedReshape", "QuantizedSoftmax", "QuantizeMaxMin", "QuantizeV2", "Range",
            "Rank", "ReduceJoin", "Reduction", "ReLU", "ReLU6", "RequantizationRange",
            "Requantize", "Reshape", "Resize", "RNN", "ROIPooling", "Scale", "Selu", "Seq2Out",
            "Shape", "Sigmoid", "Size", "Slice", "SliceTf", "Softmax", "SpaceToBatchND",
            "SpatialProduct", "Col2Im", "Segment", "Squeeze", "StridedSlice", "StringJoin",
            "StringSplit", "StringToNumber", "TanH", "TfQuantizedConv2D", "Threshold", "Tile",
            "TopKV2", "Transpose", "UnaryOp", "Unpack", "Where", "Moments", "RNNSequenceGRU",
            "BatchMatMul", "Unsqueeze", "CosineSimilarity", "DepthToSpace", "SpaceToDepth",
            "ReverseSequence", "Pooling3D", "Convolution3D", "MatrixBandPart", "GatherND",
            "DetectionPostProcess", "UnravelIndex", "ScatterNd", "OneHot", "BroadcastTo",
            "Dilation2D", "Interp3D",
        )
    )
) | {
    128: "Raster", 129: "ConvertTensor", 130: "ArgMin", 131: "LinSpace", 132: "RandomUniform",
    133: "TensorArray", 134: "TensorArraySize", 135: "TensorArrayRead", 136: "TensorArrayWrite",
    137: "TensorArrayGather", 138: "TensorArrayScatter", 139: "TensorArraySplit",
    140: "TensorArrayConcat", 141: "LSTMBlockCell", 142: "Reverse", 143: "ROIAlign",
    144: "RandomNormal", 145: "TensorArrayInsert", 146: "TensorArrayErase", 147: "EyeLike",
    148: "CumSum", 149: "Det", 150: "CumProd", 151: "ScatterElements", 152: "GatherElements",
    153: "Svd", 154: "Histogram", 155: "QuantizeLinear", 156: "DequantizeLinear", 256: "Plugin",
    257: "Select", 258: "ZerosLike", 259: "Broastcast", 260: "SetDiff1D", 261: "ReluGrad",
    262: "Identity", 263: "PoolGrad", 264: "SoftmaxGrad", 265: "Conv2DBackPropFilter",
    266: "TrainableParam", 267: "BatchNorm", 268: "ConvTranspose3D", 269: "ZeroGrad",
    299: "Attention", 300: "FmhaV2", 301: "Fmhca", 302: "SeqLen2Spatial", 303: "SplitGeLU",
    304: "GroupNorm", 512: "Extra", 513: "ConvInt8", 514: "Int8ToFloat", 515: "DepthwiseConvInt8",
    516: "PoolInt8", 517: "FloatToInt8", 518: "EltwiseInt8", 600: "While", 601: "If",
    603: "LayerNorm", 604: "GridSample",
}  # fmt: skip
BINARY: Final = {
    0: "add", 1: "sub", 2: "mul", 3: "div", 4: "max", 5: "min", 6: "pow", 7: "div", 8: "min",
    9: "max", 10: "greater", 11: "greater_equal", 12: "less", 13: "floor_div",
    14: "squared_difference", 15: "equal", 16: "less_equal", 17: "mod", 19: "mod", 20: "atan2",
    21: "or", 22: "not_equal",
}  # fmt: skip
UNARY: Final = (
    "abs", "neg", "floor", "ceil", "square", "sqrt", "rsqrt", "exp", "log", "sin", "cos", "tan",
    "asin", "acos", "atan", "reciprocal", "log1p", "softplus", "acosh", "sinh", "asinh", "atanh",
    "sign", "round", "cosh", "erf", "erfc", "erfinv", "expm1", "sigmoid", "tanh", "hard_swish",
    "gelu", "gelu", "silu",
)  # fmt: skip
REDUCE: Final = ("sum", "l1", "sum_square", "mean", "max", "min", "prod", "any", "all")
