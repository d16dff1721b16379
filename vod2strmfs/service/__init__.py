"""The long-running service that materializes."""
