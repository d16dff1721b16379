"""How a catalogue looks as a file system: names, contents, attributes. Pure."""
