"""Tells whether a published performance claim about a Mixture-of-Experts kernel may be believed."""

__version__ = "0.1.0"
