"""Android phones over adb: the client, what a phone is and how it does, files, measuring there."""
