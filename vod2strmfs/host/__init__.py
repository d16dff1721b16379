"""What is asked of Linux, and of systemd."""
