"""A module of the user's own, where a model finds a number."""

scale = 2.0
