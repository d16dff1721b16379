"""A first settings file: trying the answers that go into it, and writing it."""
