"""The status page and the metrics: a process of its own beside a mount or a service, which only reads."""
