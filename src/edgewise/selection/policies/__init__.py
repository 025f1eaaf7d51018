"""What chooses: one policy per module, and the register."""
