"""Where a model should run: on the device or in the cloud; computed, and measured end to end."""
