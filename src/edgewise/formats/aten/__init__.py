"""What PyTorch's operators (ATen) mean, for every file that holds them.

These are TorchScript, PyTorch Mobile, exported programs and ExecuTorch.

`recorder.py` turns calls into layers; the tables say what each operator does with its arguments,
which stand in the order and by the names of PyTorch's `native_functions.yaml`.
"""
