"""Names that ncnn gives numbers to, and layers that need no rule of their own."""

from __future__ import annotations

UNARY_OPS = (
    "abs", "neg", "floor", "ceil", "square", "sqrt", "rsqrt", "exp", "log", "sin", "cos", "tan",
    "asin", "acos", "atan", "reciprocal", "tanh", "log10", "round", "trunc",
)  # fmt: skip

ACTIVATIONS = {
    "AbsVal": "abs", "BNLL": "softplus", "CELU": "celu", "Clip": "clip", "ELU": "elu",
    "Erf": "erf", "Exp": "exp", "GELU": "gelu", "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish", "Log": "log", "Mish": "mish", "Power": "pow", "ReLU": "relu",
    "SELU": "selu", "Shrink": "shrink", "Sigmoid": "sigmoid", "Softplus": "softplus",
    "Swish": "swish", "TanH": "tanh", "Threshold": "threshold", "RotaryEmbed": "rotary",
}  # fmt: skip

#: Which axis each axis of the result is, innermost first, by number and by rank (ncnn's Permute).
ORDERS = {
    2: ("wh", "hw"),
    3: ("whc", "hwc", "wch", "cwh", "hcw", "chw"),
    4: (
        "whdc", "hwdc", "wdhc", "dwhc", "hdwc", "dhwc", "whcd", "hwcd", "wchd", "cwhd", "hcwd",
        "chwd", "wdch", "dwch", "wcdh", "cwdh", "dcwh", "cdwh", "hdcw", "dhcw", "hcdw", "chdw",
        "dchw", "cdhw",
    ),
}  # fmt: skip
