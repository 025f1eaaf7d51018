"""The Open Inference Protocol: its messages and tensors, over HTTP and gRPC."""
