"""The status page at `/`: one self-contained file, and the data that it asks for every second."""
