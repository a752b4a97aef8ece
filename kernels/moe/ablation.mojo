"""Compile-time switches that take one technique away, to measure what it gives: `mojo build -D NAME=1`.

All are off unless named, and then cost nothing: each is decided by the compiler. The same source without a technique is
a fairer opponent than a second program would be.

| switch          | what it takes away or fixes                                                                   |
|-----------------|-----------------------------------------------------------------------------------------------|
| SCALAR          | vectors: all have one element; the tile's independent sums stay                                |
| ONE_SUM         | independent sums: a tile is as many dot products, each waiting for its own additions           |
| ROW_MAJOR       | packed weights: rows as wide as the matrix, so that a panel's steps lie far apart              |
| RUN_TIME_TILE   | the register tile: its rows and panels are loop bounds, so its sums stand in memory            |
| D_MODEL, D_FF   | (a width) dimensions that are known only at run time: the library computes only these          |
| ALLOCATION      | the kept workspace: 1 allocates it in every call, 2 from the system, all of its pages anew     |
| ONE_THREAD      | all threads but the caller                                                                     |
| DTYPE           | nothing: the code of the other dtypes is not compiled, which takes a fifth of a build's time   |
"""

from std.sys.defines import get_defined_int

comptime SCALAR = get_defined_int["SCALAR", 0]() == 1
comptime ONE_SUM = get_defined_int["ONE_SUM", 0]() == 1
comptime ROW_MAJOR = get_defined_int["ROW_MAJOR", 0]() == 1
comptime RUN_TIME_TILE = get_defined_int["RUN_TIME_TILE", 0]() == 1
comptime D_MODEL = get_defined_int["D_MODEL", 0]()
comptime D_FF = get_defined_int["D_FF", 0]()
comptime ONE_THREAD = get_defined_int["ONE_THREAD", 0]() == 1

comptime KEPT = 0
comptime EACH_CALL = 1
comptime FRESH_PAGES = 2
comptime ALLOCATION = get_defined_int["ALLOCATION", KEPT]()

# The number of the only dtype that is compiled.
comptime EVERY = -1
comptime DTYPE = get_defined_int["DTYPE", EVERY]()
