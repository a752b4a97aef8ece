"""The whole Mixture-of-Experts layer on the CPU: route, dispatch, two matmuls per expert, combine.

Read `forward.mojo` first: it is the story of a token, every other file one step of it.
"""
