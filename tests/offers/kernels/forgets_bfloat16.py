"""Deals with every option, and gets one wrong: bfloat16."""

from whole import make

prepare = make(forget=("bfloat16",))
