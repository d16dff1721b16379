"""Where the program's messages go."""
