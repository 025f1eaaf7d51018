"""The inference service: the most accurate variant that still meets a request's deadline."""
