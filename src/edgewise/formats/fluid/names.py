"""Paddle's operators that need no rule of their own, by what they are."""

from __future__ import annotations

UNARY = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "sigmoid", "tanh", "swish", "silu",
    "mish", "hard_swish", "hard_sigmoid", "softplus", "softsign", "exp", "log", "log1p", "sqrt",
    "rsqrt", "square", "abs", "floor", "ceil", "round", "sin", "cos", "tan", "erf", "reciprocal",
    "sign", "clip", "scale", "pow", "brelu", "logsigmoid", "thresholded_relu", "tanh_shrink",
    "hard_shrink", "softshrink", "stanh", "soft_relu", "logical_not", "isnan", "isinf", "isfinite",
    "increment", "celu", "negative", "atan", "asin", "acos", "sinh", "cosh", "bitwise_not",
)  # fmt: skip

BINARY = {
    "elementwise_add": "add", "elementwise_sub": "sub", "elementwise_mul": "mul",
    "elementwise_div": "div", "elementwise_max": "max", "elementwise_min": "min",
    "elementwise_pow": "pow", "elementwise_mod": "mod", "elementwise_floordiv": "floor_div",
    "fusion_elementwise_add_activation": "add", "fusion_elementwise_sub_activation": "sub",
    "fusion_elementwise_mul_activation": "mul", "fusion_elementwise_div_activation": "div",
    "fusion_elementwise_max_activation": "max", "fusion_elementwise_min_activation": "min",
    "fusion_elementwise_pow_activation": "pow",
    "equal": "equal", "not_equal": "not_equal", "less_than": "less", "less_equal": "less_equal",
    "greater_than": "greater", "greater_equal": "greater_equal", "logical_and": "and",
    "logical_or": "or", "logical_xor": "xor", "minus": "sub",
}  # fmt: skip

REDUCE = {
    "reduce_mean": "mean", "reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min",
    "reduce_prod": "prod", "reduce_all": "all", "reduce_any": "any", "mean": "mean",
    "frobenius_norm": "l2", "logsumexp": "log_sum_exp",
}  # fmt: skip

#: They multiply and accumulate nothing, and say the shape of what they give.
STATED = (
    "prior_box", "density_prior_box", "anchor_generator", "box_coder", "box_clip", "yolo_box",
    "multiclass_nms", "multiclass_nms2", "multiclass_nms3", "matrix_nms", "generate_proposals",
    "generate_proposals_v2", "distribute_fpn_proposals", "collect_fpn_proposals", "bipartite_match",
    "detection_output", "iou_similarity", "where_index", "unique", "sequence_pool",
    "sequence_expand", "sequence_softmax", "sequence_reshape", "sequence_concat", "sequence_pad",
    "sequence_unpad", "sequence_mask", "sequence_reverse", "sequence_expand_as", "lod_reset",
    "im2sequence", "beam_search", "beam_search_decode", "write_to_array", "read_from_array",
    "lod_array_length", "ctc_align", "crf_decoding", "uniform_random", "gaussian_random",
    "linspace", "eye", "meshgrid", "unfold", "argsort", "set_value", "print",
    "p_norm", "index_select", "take_along_axis", "put_along_axis", "tril_triu", "expand_as",
    "expand_as_v2", "fill_constant_batch_size_like", "fill_any_like", "fill_zeros_like",
    "retinanet_detection_output", "polygon_box_transform", "target_assign", "one_hot",
    "one_hot_v2", "psroi_pool", "is_empty", "select_input", "shard_index", "sampling_id",
    "conditional_block_infer_", "strided_slice_", "diag_v2", "masked_select", "share_data",
)  # fmt: skip

IDENTITY = (
    "dropout", "assign", "io_copy", "io_copy_once", "layout", "layout_once", "share_data", "calib",
    "calib_once", "fake_quantize_dequantize_moving_average_abs_max", "memcpy", "memcpy_h2d",
    "fake_quantize_dequantize_abs_max", "fake_channel_wise_quantize_dequantize_abs_max",
    "fake_quantize_range_abs_max", "fake_quantize_moving_average_abs_max", "quantize_linear",
    "dequantize_linear", "fake_dequantize_max_abs", "fake_channel_wise_dequantize_max_abs",
    "moving_average_abs_max_scale", "subgraph_",
)  # fmt: skip
