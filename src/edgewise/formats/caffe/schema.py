"""Field numbers of Caffe's messages, as data (caffe.proto of BVLC/caffe and of its SSD branch)."""

from __future__ import annotations

from typing import Final

from edgewise.formats.messages import Fields, Schema

_LAYER: Final[Fields] = {
    1: ("name", "text"), 2: ("type", "text"), 3: ("bottom", "text"), 4: ("top", "text"),
    7: ("blobs", "Blob"), 8: ("include", "Rule"), 9: ("exclude", "Rule"),
    100: ("transform_param", "Transform"), 103: ("argmax_param", "Argmax"),
    104: ("concat_param", "Concat"), 106: ("convolution_param", "Convolution"),
    109: ("dummy_data_param", "DummyData"), 110: ("eltwise_param", "Eltwise"),
    117: ("inner_product_param", "InnerProduct"), 119: ("memory_data_param", "MemoryData"),
    121: ("pooling_param", "Pooling"), 125: ("softmax_param", "Softmax"),
    126: ("slice_param", "Slice"), 133: ("reshape_param", "Reshape"),
    135: ("flatten_param", "Flatten"), 136: ("reduction_param", "Reduction"),
    137: ("embed_param", "Embed"), 138: ("tile_param", "Tile"), 142: ("scale_param", "Scale"),
    143: ("input_param", "Input"), 144: ("crop_param", "Crop"),
    145: ("parameter_param", "Parameter"), 146: ("recurrent_param", "Recurrent"),
    202: ("permute_param", "Permute"),
}  # fmt: skip
_V1: Final[Fields] = {
    1: ("layer", "Nothing"), 2: ("bottom", "text"), 3: ("top", "text"), 4: ("name", "text"),
    5: ("type", "int"), 6: ("blobs", "Blob"), 9: ("concat_param", "Concat"),
    10: ("convolution_param", "Convolution"), 17: ("inner_product_param", "InnerProduct"),
    19: ("pooling_param", "Pooling"), 22: ("memory_data_param", "MemoryData"),
    23: ("argmax_param", "Argmax"), 24: ("eltwise_param", "Eltwise"),
    26: ("dummy_data_param", "DummyData"), 31: ("slice_param", "Slice"), 32: ("include", "Rule"),
    33: ("exclude", "Rule"), 36: ("transform_param", "Transform"),
    39: ("softmax_param", "Softmax"),
}  # fmt: skip

SCHEMA: Final[Schema] = {
    "Net": {
        1: ("name", "text"), 2: ("layers", "V1"), 3: ("input", "text"), 4: ("input_dim", "int"),
        8: ("input_shape", "Shape"), 100: ("layer", "Layer"),
    },
    "Layer": _LAYER,
    "V1": _V1,
    "Nothing": {},
    "Shape": {1: ("dim", "int")},
    "Blob": {
        1: ("num", "int"), 2: ("channels", "int"), 3: ("height", "int"), 4: ("width", "int"),
        5: ("data", "span"), 7: ("shape", "Shape"), 8: ("double_data", "span"),
        10: ("raw_data_type", "int"), 12: ("raw_data", "span"),
    },
    "Rule": {1: ("phase", "int")},
    "Transform": {3: ("crop_size", "int")},
    "Argmax": {1: ("out_max_val", "int"), 2: ("top_k", "int"), 3: ("axis", "int")},
    "Concat": {1: ("concat_dim", "int"), 2: ("axis", "int")},
    "Convolution": {
        1: ("num_output", "int"), 2: ("bias_term", "int"), 3: ("pad", "int"),
        4: ("kernel_size", "int"), 5: ("group", "int"), 6: ("stride", "int"), 9: ("pad_h", "int"),
        10: ("pad_w", "int"), 11: ("kernel_h", "int"), 12: ("kernel_w", "int"),
        13: ("stride_h", "int"), 14: ("stride_w", "int"), 18: ("dilation", "int"),
    },
    "DummyData": {
        2: ("num", "int"), 3: ("channels", "int"), 4: ("height", "int"), 5: ("width", "int"),
        6: ("shape", "Shape"),
    },
    "Eltwise": {1: ("operation", "int")},
    "InnerProduct": {
        1: ("num_output", "int"), 2: ("bias_term", "int"), 5: ("axis", "int"),
        6: ("transpose", "int"),
    },
    "MemoryData": {
        1: ("batch_size", "int"), 2: ("channels", "int"), 3: ("height", "int"), 4: ("width", "int"),
    },
    "Pooling": {
        1: ("pool", "int"), 2: ("kernel_size", "int"), 3: ("stride", "int"), 4: ("pad", "int"),
        5: ("kernel_h", "int"), 6: ("kernel_w", "int"), 7: ("stride_h", "int"),
        8: ("stride_w", "int"), 9: ("pad_h", "int"), 10: ("pad_w", "int"),
        12: ("global_pooling", "int"), 13: ("round_mode", "int"),
    },
    "Softmax": {2: ("axis", "int")},
    "Slice": {1: ("slice_dim", "int"), 2: ("slice_point", "int"), 3: ("axis", "int")},
    "Reshape": {1: ("shape", "Shape"), 2: ("axis", "int"), 3: ("num_axes", "int")},
    "Flatten": {1: ("axis", "int"), 2: ("end_axis", "int")},
    "Reduction": {1: ("operation", "int"), 2: ("axis", "int")},
    "Embed": {1: ("num_output", "int"), 2: ("input_dim", "int"), 3: ("bias_term", "int")},
    "Tile": {1: ("axis", "int"), 2: ("tiles", "int")},
    "Scale": {1: ("axis", "int"), 2: ("num_axes", "int"), 4: ("bias_term", "int")},
    "Input": {1: ("shape", "Shape")},
    "Crop": {1: ("axis", "int"), 2: ("offset", "int")},
    "Parameter": {1: ("shape", "Shape")},
    "Recurrent": {1: ("num_output", "int"), 5: ("expose_hidden", "int")},
    "Permute": {1: ("order", "int")},
}  # fmt: skip

#: Names of V1LayerParameter.LayerType's values, and the type that today's messages call the same.
V1_TYPES: Final = {
    1: "Accuracy", 2: "BNLL", 3: "Concat", 4: "Convolution", 5: "Data", 6: "Dropout",
    7: "EuclideanLoss", 8: "Flatten", 9: "HDF5Data", 10: "HDF5Output", 11: "Im2col",
    12: "ImageData", 13: "InfogainLoss", 14: "InnerProduct", 15: "LRN",
    16: "MultinomialLogisticLoss", 17: "Pooling", 18: "ReLU", 19: "Sigmoid", 20: "Softmax",
    21: "SoftmaxWithLoss", 22: "Split", 23: "TanH", 24: "WindowData", 25: "Eltwise", 26: "Power",
    27: "SigmoidCrossEntropyLoss", 28: "HingeLoss", 29: "MemoryData", 30: "ArgMax",
    31: "Threshold", 32: "DummyData", 33: "Slice", 34: "MVN", 35: "AbsVal", 36: "Silence",
    37: "ContrastiveLoss", 38: "Exp", 39: "Deconvolution",
}  # fmt: skip
V1_NAMES: Final = {
    "INNER_PRODUCT": "InnerProduct", "SOFTMAX_LOSS": "SoftmaxWithLoss", "TANH": "TanH",
    "EUCLIDEAN_LOSS": "EuclideanLoss", "HDF5_DATA": "HDF5Data", "HDF5_OUTPUT": "HDF5Output",
    "IM2COL": "Im2col", "IMAGE_DATA": "ImageData", "MEMORY_DATA": "MemoryData",
    "DUMMY_DATA": "DummyData", "WINDOW_DATA": "WindowData", "ABSVAL": "AbsVal", "ARGMAX": "ArgMax",
    "RELU": "ReLU", "BNLL": "BNLL", "LRN": "LRN", "MVN": "MVN",
}  # fmt: skip
