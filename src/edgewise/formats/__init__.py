"""Model file formats: one file each, `recognise(head, name)` and `read(file) -> Graph`."""
