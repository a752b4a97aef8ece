"""What is run: one prepare -> forward interface, and the worker processes that run it."""
