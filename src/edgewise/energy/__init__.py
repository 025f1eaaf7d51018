"""What a request costs a device's battery: radio and compute."""
