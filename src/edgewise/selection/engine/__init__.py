"""Policies under load: the queue, the scheduler that serves, the simulators."""
