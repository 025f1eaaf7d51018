"""What Paddle's formats share: a program of operators and variables, and what operators mean.

`program.py` builds a graph, `ops.py` and `compute.py` translate operators into kinds. The formats
are `paddle` (a protobuf) and `paddlelite` (three layouts of its own).
"""
