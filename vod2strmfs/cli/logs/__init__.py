"""Messages of the program, and the places where they go."""
