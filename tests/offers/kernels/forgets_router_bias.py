"""Deals with every option, and gets one wrong: router_bias."""

from whole import make

prepare = make(forget=("router_bias",))
