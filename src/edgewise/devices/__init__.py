"""Where models run: run a command there, move files, report state. One file each."""
