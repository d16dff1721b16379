"""Having Dispatcharr fetch the episodes of series that have none: what is missing, when to ask, and asking."""
