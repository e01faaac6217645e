"""The order's page: where it is, whose turn, why, what the sources say, and what can be done now."""
