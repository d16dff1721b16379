"""The status page and the metrics: a process of its own beside a mount, which only reads and only on loopback."""
