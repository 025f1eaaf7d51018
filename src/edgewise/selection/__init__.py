"""Choosing a model per request: profiles, policies, learning, simulation, recommendation."""
