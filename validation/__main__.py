"""`python -m validation` is `moe-validation`."""

from validation.cli import main

main()
