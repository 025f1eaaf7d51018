"""What operators see of a service: metrics, logs and the decision log."""
