"""A user's function as a program, and how it is interpreted."""
