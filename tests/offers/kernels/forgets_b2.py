"""Deals with every option, and gets one wrong: b2."""

from whole import make

prepare = make(forget=("b2",))
