"""The rules of docs/METHOD.md section 4, as numbers. A change of any of them is a new RULES_VERSION."""

from typing import Final

#: 1: first version. 2: a wide interval decides what it would at twice its width; before, it decided nothing.
#: 3: fewer than five pairs give an estimate without an interval; of two it once was 0.0000000392 to 91,600,000.
#: 4: a share of the hardware's limit is of the usual peak. 5: a candidate whose timed calls take longer on tokens that
#: nobody has seen is dishonest. 6: on a CPU calls count with the time at the machine's usual speed, which is the middle
#: one; those beside a probe of less than 0.8 of it do not count (0.93 of the speed that one probe in five exceeds).
#: 7: so is one whose calls do each other's work, whose clock leaves a part of them out, that takes more cores than it
#: was given, or that spoils the blocks with such tokens; where these do not count at all nothing is decided. No
#: floor of float32 is above what the fastest speed probe of the run allows. 8: a clock is also held against short calls
#: between which none is read. 9: these stand in pairs with timed ones, and the parent's clock alone tells of them.
#: 10: a candidate is dishonest that does in a timed process what no kernel needs, or changes its settings or those of a
#: baseline's; and in a batch that nobody has seen no token comes from the bank.
RULES_VERSION: Final = 10
#: A claim is met when the interval reaches its bound within this share; declared before any sample.
DELTA: Final = 0.05
#: A claimed time is impossible below this share of the floor: ceilings are best-of measurements, good to a few percent.
IMPOSSIBLE_SHARE: Final = 0.95
#: A half-width above this share of the estimate decides only what it would at twice its width.
WIDEST: Final = 0.03
#: Cores that usually run at less than this share of what one probe in a hundred exceeds have busy neighbours. Three
#: calm runs on two kinds of CPU had 0.94, four beside busy strangers 0.78 to 0.88.
OWN_CORES: Final = 0.9
#: Calls on unseen tokens have to count in so many of the candidate's processes, as many as are compared.
UNSEEN_PROCESSES: Final = 3
#: The smallest profile plans five pairs; fewer are an accident.
MIN_PAIRS: Final = 5
