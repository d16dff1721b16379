"""systemd's units for a library, and the settings file that they read."""
