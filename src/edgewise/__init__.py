"""Edgewise: what neural networks an app ships, what they cost, and where each should run."""

__version__ = "0.1.0"
