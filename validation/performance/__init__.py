"""How fast it is: timing, process pairs, statistics, ceilings."""
