"""The program a kernel runs in: a fresh process that never holds an answer.

`main.py` is started by path and loads this package by path, so that for a candidate neither `validation` nor
`reference` is importable. Every file here imports the standard library, its siblings, and torch when it first needs a
tensor, nothing else.
"""
