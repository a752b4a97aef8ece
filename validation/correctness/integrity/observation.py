"""What a scripted run of a kernel observed, before anybody judges it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from validation.implementations.clock import Price
    from validation.implementations.mailbox import Doing


class Scene(StrEnum):
    """What a block of calls is there for; the kernel is not told."""

    FIRST = "first calls"
    KNOWN = "tokens drawn from the published seed"
    FRESH = "tokens nobody has seen"
    AGAIN = "the same tokens again"
    SAME_PLACE = "other tokens at the same addresses"
    ALIKE = "tokens that differ from earlier ones in one row, or in their order"
    MANY = "tokens seen before, in other batches"
    PUBLISHED = "tokens drawn from the published seed, beside fresh ones"
    ONE = "one token a call, of those seen before"
    ONE_PUBLISHED = "one token a call, of the published seed's"
    ONE_FRESH = "one token a call that nobody has seen"
    FEW = "a few tokens a call, of the published seed's"
    FEW_FRESH = "a few tokens a call that nobody has seen"
    CLOCKED = "calls on all tokens beside unclocked ones"
    UNCLOCKED = "calls on all tokens without a clock between them"
    ONE_CLOCKED = "calls on one token beside unclocked ones"
    ONE_UNCLOCKED = "calls on one token without a clock between them"
    ALONE = "short calls on all tokens, of which none waits behind"
    ONE_ALONE = "calls on one token, of which none waits behind"


#: Scenes that are there for one gate each: what others tell of calls on all tokens is told of the rest.
_APART: Final = frozenset(
    {
        Scene.ONE,
        Scene.ONE_PUBLISHED,
        Scene.ONE_FRESH,
        Scene.FEW,
        Scene.FEW_FRESH,
        Scene.CLOCKED,
        Scene.UNCLOCKED,
        Scene.ONE_CLOCKED,
        Scene.ONE_UNCLOCKED,
        Scene.ALONE,
        Scene.ONE_ALONE,
    }
)


class Unclocked(NamedTuple):
    """Scenes of short calls: one that tells how long they take, and three side by side.

    Calls made alone, blocks that are timed, and blocks that are not.
    """

    usual: Scene
    alone: Scene
    clocked: Scene
    unclocked: Scene


#: Of one token and of all.
ONE_UNCLOCKED: Final = Unclocked(Scene.ONE, Scene.ONE_ALONE, Scene.ONE_CLOCKED, Scene.ONE_UNCLOCKED)
ALL_UNCLOCKED: Final = Unclocked(Scene.MANY, Scene.ALONE, Scene.CLOCKED, Scene.UNCLOCKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One block: times by both clocks, and for each call whether its output was right and its input left alone.

    `hosts_ns` are the times by the worker's host clock, of a GPU's calls another than `calls_ns`; `in_time` says that
    by it the block lay between the parent's question and the answer. `cpu_ns` is the CPU time that was used for it,
    `others_share` that of all other processes over the time of all cores. Of an unclocked block `calls_ns` are 0 and
    `asking_ns` is what it cost beside its calls.
    """

    scene: Scene
    calls_ns: tuple[int, ...]
    parent_ns: int
    right: tuple[bool, ...]
    x_unchanged: tuple[bool, ...]
    guards_held: bool
    hosts_ns: tuple[int, ...] = ()
    in_time: bool = True
    cpu_ns: int = 0
    others_share: float = 0.0
    asking_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A whole run. Of one that ended early, `ended` names the cause, and what came later is missing.

    `doings` at the places `compiling` were reported before the first call on so many tokens had returned. `late_ns` is
    the CPU time the process used in `watched_ns` after its threads had had time to fall asleep; `late_change` says that
    an output changed meanwhile. `companions` are the commands of
    processes it had alive then. `suite_before` and `suite_after` are settings of the processes that are none of the
    kernel's: the suite's own, and the one that forks workers.
    `price` is what asking costs for calls on all tokens, `one_price` for those on one.
    `floor_ns` is a time that no call can fall below on such a machine, None when its kind is not known.
    """

    implementation: str
    threads: int
    ended: str = ""
    blocks: tuple[Seen, ...] = ()
    price: Price | None = None
    one_price: Price | None = None
    prepare_wall_ns: int = 0
    prepare_cpu_ns: int = 0
    doings: tuple[Doing, ...] = ()
    compiling: frozenset[int] = frozenset()
    reports_closed: bool = False
    state_before: Mapping[str, str] | None = None
    state_after: Mapping[str, str] | None = None
    suite_before: Mapping[str, str] | None = None
    suite_after: Mapping[str, str] | None = None
    late_ns: int = 0
    watched_ns: int = 0
    late_change: bool = False
    companions: tuple[str, ...] = ()
    floor_ns: float | None = None

    @property
    def whole(self) -> tuple[Seen, ...]:
        """The blocks whose calls are on all tokens of the workload."""
        return tuple(block for block in self.blocks if block.scene not in _APART)

    @property
    def others_share(self) -> float:
        """The share of the cores that other processes took while the kernel was called."""
        passed_ns = sum(block.parent_ns for block in self.blocks)
        return sum(block.others_share * block.parent_ns for block in self.blocks) / max(passed_ns, 1)

    @property
    def on_gpu(self) -> bool:
        """Whether calls were timed by a clock of a GPU's own."""
        return any(block.hosts_ns not in {(), block.calls_ns} for block in self.blocks)

    def of(self, *scenes: Scene) -> tuple[Seen, ...]:
        """Returns the blocks of these scenes."""
        return tuple(block for block in self.blocks if block.scene in scenes)

    def fastest_ns(self, *scenes: Scene) -> int | None:
        """Returns the shortest call of these scenes: the host only ever makes a call longer."""
        return min((ns for block in self.of(*scenes) for ns in block.calls_ns), default=None)
