"""Variants that another server of the Open Inference Protocol computes."""
