"""Deals with every option, and gets one wrong: renormalize."""

from whole import make

prepare = make(forget=("renormalize",))
