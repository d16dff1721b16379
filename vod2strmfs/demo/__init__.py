"""A demo catalogue in Dispatcharr's own schema, and the builder that tests use for theirs.

`generator.write_demo` writes thousands of invented films, `catalogue.Catalogue` the few that a test names.
"""
