"""Gates that depend on time, judged on made-up observations."""

from dataclasses import replace
from typing import Final

import pytest

from validation.correctness.case import Outcome
from validation.correctness.integrity.clocks import clocks_agree
from validation.correctness.integrity.doings import keeps_to_itself
from validation.correctness.integrity.floor import above_the_floor
from validation.correctness.integrity.inspect import GATES
from validation.correctness.integrity.late_work import nothing_after_return
from validation.correctness.integrity.memo import same_time_for_old_and_new
from validation.correctness.integrity.observation import Observation, Scene, Seen
from validation.correctness.integrity.own_work import LEAST_SHARE, does_its_own_work
from validation.correctness.integrity.preparation import prepare_does_not_sleep
from validation.correctness.integrity.settings import settings_unchanged
from validation.implementations.clock import Price
from validation.implementations.mailbox import Doing

MS: Final = 1_000_000


def seen(scene: Scene, call_ms: float, parent_ms: float | None = None, calls: int = 4) -> Seen:
    return Seen(
        scene=scene,
        calls_ns=(int(call_ms * MS),) * calls,
        parent_ns=int((call_ms * calls + 0.2 if parent_ms is None else parent_ms) * MS),
        right=(True,) * calls,
        x_unchanged=(True,) * calls,
        guards_held=True,
    )


#: 100 ms watched, a tenth of one used.
HONEST: Final = Observation(
    implementation="kernel",
    threads=2,
    blocks=(seen(Scene.FRESH, 10), seen(Scene.AGAIN, 9), seen(Scene.KNOWN, 10)),
    price=Price(block_ns=100_000, call_ns=20_000),
    prepare_wall_ns=400 * MS,
    prepare_cpu_ns=350 * MS,
    state_before={"torch threads": "2", "denormals": "kept"},
    state_after={"torch threads": "1", "denormals": "kept"},
    late_ns=MS // 10,
    watched_ns=100 * MS,
    floor_ns=8.5 * MS,
)


@pytest.mark.parametrize("judge", GATES)
def test_an_honest_observation_passes(judge: object) -> None:
    assert callable(judge)
    assert judge(HONEST).outcome is Outcome.PASSED


@pytest.mark.parametrize("judge", GATES[1:])
def test_a_gate_does_not_pass_on_a_run_that_ended_early(judge: object) -> None:
    assert callable(judge)
    assert judge(Observation(implementation="kernel", threads=2, ended="killed")).outcome is Outcome.MISTRUSTED


def test_a_call_below_the_floor_is_a_fault_of_the_harness() -> None:
    gate = above_the_floor(replace(HONEST, floor_ns=10.0 * MS))
    assert gate.outcome is Outcome.FAILED
    assert gate.message == "harness_fault: a call took 9 ms; no machine like this needs less than 10 ms"


def test_without_a_floor_nothing_was_compared() -> None:
    assert above_the_floor(replace(HONEST, floor_ns=None)).outcome is Outcome.MISTRUSTED


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (Scene.FRESH, Scene.AGAIN),
        (Scene.FRESH, Scene.KNOWN),
        (Scene.FRESH, Scene.MANY),
        (Scene.FRESH, Scene.PUBLISHED),
        (Scene.ONE_FRESH, Scene.ONE),
        (Scene.ONE_FRESH, Scene.ONE_PUBLISHED),
        (Scene.FEW_FRESH, Scene.FEW),
    ],
)
def test_known_input_may_not_be_much_faster(new: Scene, old: Scene) -> None:
    fast = replace(HONEST, blocks=(seen(new, 10), seen(old, 5)))
    assert same_time_for_old_and_new(fast).outcome is Outcome.FAILED


def test_a_lull_beside_known_tokens_makes_no_cheat_and_a_memory_that_fills_does() -> None:
    blocks = (seen(Scene.FRESH, 10), *(seen(Scene.MANY, ms) for ms in (10, 10, 10, 5, 9)))
    assert same_time_for_old_and_new(replace(HONEST, blocks=blocks)).outcome is Outcome.PASSED
    blocks = (seen(Scene.FRESH, 10), *(seen(Scene.MANY, ms) for ms in (10, 10, 10, 5, 4)))
    assert same_time_for_old_and_new(replace(HONEST, blocks=blocks)).outcome is Outcome.FAILED


def test_single_tokens_are_compared_with_those_beside_them_every_time() -> None:
    pair, disturbed = (seen(Scene.ONE_FRESH, 10), seen(Scene.ONE, 5)), (seen(Scene.ONE_FRESH, 10), seen(Scene.ONE, 9))
    assert same_time_for_old_and_new(replace(HONEST, blocks=pair * 13)).outcome is Outcome.FAILED
    # A memory that tosses a coin for every block; and three blocks of thirteen that were disturbed.
    assert same_time_for_old_and_new(replace(HONEST, blocks=pair * 4 + disturbed * 9)).outcome is Outcome.FAILED
    assert same_time_for_old_and_new(replace(HONEST, blocks=pair * 3 + disturbed * 10)).outcome is Outcome.PASSED
    # A weight that happens to be in a cache makes a call fast, a memory most of them.
    lucky = replace(pair[1], calls_ns=(5 * MS, 10 * MS, 10 * MS, 10 * MS))
    assert same_time_for_old_and_new(replace(HONEST, blocks=(pair[0], lucky))).outcome is Outcome.PASSED


def test_a_call_on_one_token_is_compared_with_no_call_on_many() -> None:
    short = replace(HONEST, blocks=(seen(Scene.FRESH, 10), seen(Scene.ONE, 0.02), seen(Scene.ONE_FRESH, 0.025)))
    assert same_time_for_old_and_new(short).outcome is Outcome.PASSED
    assert above_the_floor(short).outcome is Outcome.PASSED


def _beside(shares: list[float], *, calls: int = 8, bank: Scene = Scene.MANY) -> tuple[Seen, ...]:
    """Blocks of known tokens around those of fresh ones: each takes such a share of 10 ms."""
    fresh = (seen(Scene.FRESH, 10),) * (len(shares) - 1)
    known = [seen(bank, 10 * share, calls=calls) for share in shares]
    return (*(block for pair in zip(known, fresh, strict=False) for block in pair), known[-1])


@pytest.mark.parametrize(
    ("shares", "outcome"),
    [
        ([0.78, 0.8, 0.76, 0.79], Outcome.FAILED),
        # One that was disturbed.
        ([0.78, 3.0, 0.76, 0.79], Outcome.FAILED),
        ([0.95, 0.97, 0.94, 0.96], Outcome.PASSED),
        # As fast as an honest kernel's came out.
        ([0.88, 0.87, 0.89, 0.88], Outcome.PASSED),
        # A lull in one of four.
        ([0.95, 0.97, 0.7, 0.96], Outcome.PASSED),
        # A host among whose disturbances nothing can be told.
        ([1.9, 0.6, 0.9, 1.2, 7.8, 0.6, 1.0], Outcome.MISTRUSTED),
        # Too few to tell anything by.
        ([0.78, 0.8], Outcome.PASSED),
    ],
)
def test_known_tokens_may_not_be_somewhat_faster_every_time(shares: list[float], outcome: Outcome) -> None:
    found = same_time_for_old_and_new(replace(HONEST, blocks=_beside(shares)))
    assert found.outcome is outcome, found.message


@pytest.mark.parametrize("bank", [Scene.MANY, Scene.PUBLISHED], ids=lambda one: one.name)
def test_neither_banks_tokens_may_be_somewhat_faster(bank: Scene) -> None:
    other = Scene.MANY if bank is Scene.PUBLISHED else Scene.PUBLISHED
    blocks = _beside([0.8] * 9, bank=bank) + _beside([1.0] * 9, bank=other)
    judged = same_time_for_old_and_new(replace(HONEST, blocks=blocks))
    assert judged.outcome is Outcome.FAILED
    assert judged.message == f"{bank.value}: 80% of the time of {Scene.FRESH.value} beside them"


@pytest.mark.parametrize(
    ("wall", "cpu", "outcome"),
    [
        (0.88, 0.8, Outcome.FAILED),
        # A host that took the cores away from most fresh calls.
        (0.7, 0.97, Outcome.PASSED),
        (0.94, 0.8, Outcome.FAILED),
        # No faster for it.
        (0.97, 0.8, Outcome.PASSED),
        (0.88, 0.94, Outcome.PASSED),
    ],
)
def test_known_tokens_that_are_faster_save_cpu_time_too(wall: float, cpu: float, outcome: Outcome) -> None:
    blocks = tuple(
        replace(block, cpu_ns=int((cpu if block.scene is Scene.MANY else 1) * len(block.calls_ns) * 20 * MS))
        for block in _beside([wall] * 7)
    )
    assert same_time_for_old_and_new(replace(HONEST, blocks=blocks)).outcome is outcome


def test_a_host_that_slows_most_fresh_calls_makes_no_cheat() -> None:
    disturbed = replace(HONEST, blocks=(seen(Scene.FRESH, 40), seen(Scene.FRESH, 10), seen(Scene.AGAIN, 9)))
    assert same_time_for_old_and_new(disturbed).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("alone_ms", "beside_ms", "outcome"),
    [
        (10, 10, Outcome.PASSED),
        (10, 10 * LEAST_SHARE + 0.1, Outcome.PASSED),
        (10, 10 * LEAST_SHARE - 0.1, Outcome.FAILED),
        # A thread that has to wake up.
        (0.25, 0.05, Outcome.PASSED),
    ],
)
def test_a_call_of_several_may_not_be_much_shorter_than_one_made_alone(
    alone_ms: float, beside_ms: float, outcome: Outcome
) -> None:
    blocks = (seen(Scene.KNOWN, alone_ms * 5, calls=1), seen(Scene.SAME_PLACE, alone_ms, calls=1))
    many = seen(Scene.MANY, beside_ms, calls=8)
    # The work that was put off is done at another place of each block.
    disturbed = tuple(
        replace(many, calls_ns=(*many.calls_ns[:place], many.calls_ns[0] * 20, *many.calls_ns[place + 1 :]))
        for place in (2, 5)
    )
    assert does_its_own_work(replace(HONEST, blocks=(*blocks, *disturbed))).outcome is outcome


@pytest.mark.parametrize(("first_ms", "outcome"), [(0.92, Outcome.PASSED), (0.37, Outcome.FAILED)])
def test_threads_that_wake_up_make_the_first_call_of_several_as_long_as_one_alone(
    first_ms: float, outcome: Outcome
) -> None:
    several = replace(seen(Scene.MANY, 0.37, calls=8), calls_ns=(int(first_ms * MS), *(370_000,) * 7))
    blocks = (*(seen(Scene.SAME_PLACE, 0.92, calls=1),) * 4, *(several,) * 8)
    assert does_its_own_work(replace(HONEST, blocks=blocks)).outcome is outcome


def test_some_calls_of_every_block_may_not_do_the_work_of_the_others() -> None:
    # Of three calls one does a third of the others': 1.67 and 0.67 of 10 ms; no call is four times another.
    level = seen(Scene.KNOWN, 10, calls=3)
    uneven = replace(level, calls_ns=(16_700_000, 6_700_000, 6_700_000))
    assert does_its_own_work(replace(HONEST, blocks=(uneven,) * 6)).outcome is Outcome.FAILED
    # What a stranger makes long in most blocks is in the calmest quarter of none.
    assert does_its_own_work(replace(HONEST, blocks=(uneven,) * 4 + (level,) * 2)).outcome is Outcome.PASSED


def test_a_call_alone_on_a_gpu_may_take_three_times_as_long() -> None:
    blocks = (seen(Scene.KNOWN, 9.0, calls=1), seen(Scene.MANY, 4.0, calls=8))
    assert does_its_own_work(replace(HONEST, blocks=blocks)).outcome is Outcome.FAILED
    gpu = tuple(replace(block, hosts_ns=tuple(2 * ns for ns in block.calls_ns)) for block in blocks)
    assert does_its_own_work(replace(HONEST, blocks=gpu)).outcome is Outcome.PASSED
    putting_off = (gpu[0], replace(seen(Scene.MANY, 2.0, calls=8), hosts_ns=gpu[1].hosts_ns))
    assert does_its_own_work(replace(HONEST, blocks=putting_off)).outcome is Outcome.FAILED


@pytest.mark.parametrize("parent_ms", [20.0, 80.0])
def test_most_blocks_must_agree_with_the_parents_clock(parent_ms: float) -> None:
    blocks = tuple(seen(Scene.FRESH, 10, parent_ms) for _block in range(3))
    assert clocks_agree(replace(HONEST, blocks=blocks)).outcome is Outcome.FAILED


def test_a_few_disturbed_blocks_are_the_hosts() -> None:
    blocks = (seen(Scene.FRESH, 10, 80.0), seen(Scene.FRESH, 10), seen(Scene.FRESH, 10))
    assert clocks_agree(replace(HONEST, blocks=blocks)).outcome is Outcome.PASSED


def test_a_clock_that_leaves_a_share_out_is_seen_in_several_blocks() -> None:
    # A block of 4 calls may be 1 ms off and 5 %: 1.5 ms of 45 are within it, six times over.
    slow = tuple(seen(Scene.FRESH, 9, 36 + 2.7) for _block in range(6))
    judged = clocks_agree(replace(HONEST, blocks=slow))
    assert judged.outcome is Outcome.FAILED
    assert judged.message == (
        "its calls are said to take 216 ms in all, and the parent waited 232 ms, of which asking explains 1.08 ms"
    )
    assert clocks_agree(replace(HONEST, blocks=(*slow[:2], *(seen(Scene.FRESH, 10),) * 4))).outcome is Outcome.PASSED


def test_a_clock_that_shows_another_time_is_seen_in_one_block() -> None:
    late = replace(seen(Scene.ONE, 0.02), in_time=False)
    assert clocks_agree(replace(HONEST, blocks=(*HONEST.blocks, late))).outcome is Outcome.FAILED


def test_clocks_are_not_compared_where_asking_takes_longer_than_the_calls() -> None:
    judged = clocks_agree(replace(HONEST, price=Price(block_ns=8 * MS, call_ns=9 * MS)))
    assert judged.outcome is Outcome.MISTRUSTED
    assert judged.message.startswith("asking for a call takes 17 ms")
    # A GPU's own clock is compared with the host's.
    gpu = tuple(replace(block, hosts_ns=tuple(ns + 1_000 for ns in block.calls_ns)) for block in HONEST.blocks)
    dear = replace(HONEST, blocks=gpu, price=Price(block_ns=8 * MS, call_ns=9 * MS))
    assert clocks_agree(dear).outcome is Outcome.PASSED


def test_more_cores_than_threads_are_seen_whatever_was_set() -> None:
    blocks = tuple(replace(seen(Scene.FRESH, 10), cpu_ns=int(cores * 40 * MS)) for cores in (3, 3, 3, 3))
    assert settings_unchanged(replace(HONEST, blocks=blocks, threads=3)).outcome is Outcome.PASSED
    judged = settings_unchanged(replace(HONEST, blocks=blocks))
    assert judged.message == "its calls used 3 cores, and it was given 2"


def test_work_without_a_call_is_seen() -> None:
    assert nothing_after_return(replace(HONEST, late_ns=90 * MS)).outcome is Outcome.FAILED
    assert nothing_after_return(replace(HONEST, late_ns=2 * MS)).outcome is Outcome.FAILED
    assert nothing_after_return(replace(HONEST, late_change=True)).outcome is Outcome.FAILED


def test_a_prepare_that_waits_is_seen() -> None:
    assert prepare_does_not_sleep(replace(HONEST, prepare_cpu_ns=10 * MS)).outcome is Outcome.FAILED


def test_more_threads_are_a_change_and_fewer_are_none() -> None:
    more = replace(HONEST, state_after={"torch threads": "16", "denormals": "kept"})
    assert settings_unchanged(more).message == "torch threads: 2 became 16"


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        ("OMP_NUM_THREADS=1, MKL_NUM_THREADS=2", Outcome.PASSED),
        ("OMP_NUM_THREADS=1, MKL_NUM_THREADS=1", Outcome.PASSED),
        # Fewer of one kind make up for no more of another.
        ("OMP_NUM_THREADS=1, MKL_NUM_THREADS=3", Outcome.FAILED),
        # As many as there are cores.
        ("OMP_NUM_THREADS=0, MKL_NUM_THREADS=2", Outcome.FAILED),
        ("OMP_NUM_THREADS=None, MKL_NUM_THREADS=2", Outcome.FAILED),
        ("OMP_NUM_THREADS=1, 1, MKL_NUM_THREADS=2", Outcome.FAILED),
        ("OMP_NUM_THREADS=1", Outcome.FAILED),
        ("MKL_NUM_THREADS=1, OMP_NUM_THREADS=1", Outcome.FAILED),
    ],
)
def test_each_thread_variable_may_say_fewer(after: str, outcome: Outcome) -> None:
    before = {"thread variables": "OMP_NUM_THREADS=2, MKL_NUM_THREADS=2"}
    said = replace(HONEST, state_before=before, state_after={"thread variables": after})
    assert settings_unchanged(said).outcome is outcome


def test_a_change_of_the_suites_own_process_is_seen() -> None:
    before = {"the suite's cpu affinity": "[0, 1]", "the forking process's priority": "0"}
    assert settings_unchanged(replace(HONEST, suite_before=before, suite_after=before)).outcome is Outcome.PASSED
    for name, value in (("the suite's cpu affinity", "[0]"), ("the forking process's priority", "19")):
        judged = settings_unchanged(replace(HONEST, suite_before=before, suite_after={**before, name: value}))
        assert judged.outcome is Outcome.FAILED
        assert judged.message == f"{name}: {before[name]} became {value}"


def test_a_compiler_may_run_until_the_first_call_has_returned() -> None:
    doing = Doing(event="subprocess.Popen", argument="'g++'", stage="forward")
    at_first = replace(HONEST, doings=(doing,), compiling=frozenset({0}))
    assert keeps_to_itself(at_first).outcome is Outcome.PASSED
    assert keeps_to_itself(replace(at_first, compiling=frozenset())).outcome is Outcome.FAILED


def test_an_opening_for_writing_is_grave_while_compiling_too() -> None:
    doing = Doing(event="open for writing", argument="/venv/numpy/__init__.py", stage="prepare")
    judged = keeps_to_itself(replace(HONEST, doings=(doing,), compiling=frozenset({0})))
    assert judged.message == "open for writing(/venv/numpy/__init__.py) during prepare"


@pytest.mark.parametrize(
    ("event", "argument", "stage", "outcome"),
    [
        ("socket.bind", "an object, ('::1', 0)", "import", Outcome.PASSED),
        ("socket.bind", "an object, ('localhost', 0)", "prepare", Outcome.PASSED),
        ("socket.bind", "an object, ('::1', 0)", "forward", Outcome.FAILED),
        ("socket.bind", "an object, ('::1', 8000)", "import", Outcome.FAILED),
        ("socket.bind", "an object, ('0.0.0.0', 0)", "import", Outcome.FAILED),
        ("socket.bind", "an object, an object", "import", Outcome.FAILED),
        ("socket.__new__", "an object, 10, 1, 0", "import", Outcome.PASSED),
        # As `accept` makes one.
        ("socket.__new__", "an object, 10, 1, 0", "forward", Outcome.FAILED),
        ("socket.connect", "an object, ('::1', 80)", "import", Outcome.FAILED),
        ("resource.prlimit", "7, 0, an object", "prepare", Outcome.FAILED),
    ],
)
def test_while_it_is_loaded_a_kernel_may_try_whether_there_is_ipv6(
    event: str, argument: str, stage: str, outcome: Outcome
) -> None:
    doing = Doing(event=event, argument=argument, stage=stage)
    assert keeps_to_itself(replace(HONEST, doings=(doing,))).outcome is outcome


def test_a_fork_is_grave_at_any_time() -> None:
    forked = replace(HONEST, doings=(Doing(event="os.fork", argument="", stage="import"),), compiling=frozenset({0}))
    assert keeps_to_itself(forked).outcome is Outcome.FAILED


def test_a_process_that_stays_is_grave_though_nothing_was_reported() -> None:
    assert keeps_to_itself(replace(HONEST, companions=("python -c work",))).outcome is Outcome.FAILED


def beside(took_us: float, *, told_us: float = 30.0, scenes: tuple[Scene, Scene] | None = None) -> tuple[Seen, ...]:
    """Pairs of blocks: one of calls said to take so long, one of as many that took so long, but in two."""
    clocked, unclocked = scenes or (Scene.ONE_CLOCKED, Scene.ONE_UNCLOCKED)
    blocks: list[Seen] = []
    for number in range(13):
        took_ms = (min(took_us, told_us) if number < 2 else took_us) / 1e3
        other = seen(unclocked, 0.0, parent_ms=128 * took_ms + 5, calls=128)
        blocks += [seen(clocked, told_us / 1e3, calls=128), replace(other, asking_ns=5 * MS)]
    return tuple(blocks)


@pytest.mark.parametrize(
    "scenes",
    [(Scene.ONE_CLOCKED, Scene.ONE_UNCLOCKED), (Scene.CLOCKED, Scene.UNCLOCKED)],
    ids=lambda both: both[0].name,
)
def test_calls_that_take_longer_where_no_clock_is_read_are_seen(scenes: tuple[Scene, Scene]) -> None:
    # Colder caches make an honest one of 30 us longer by 18.
    for took_us in (25, 48, 65):
        assert clocks_agree(replace(HONEST, blocks=(*HONEST.blocks, *beside(took_us, scenes=scenes)))).outcome is (
            Outcome.PASSED
        )
    judged = clocks_agree(replace(HONEST, blocks=(*HONEST.blocks, *beside(75, scenes=scenes))))
    assert judged.outcome is Outcome.FAILED
    assert judged.message == f"{scenes[1].value} take 75 us each, and are said to take 30 us"


def test_what_passes_beside_timed_calls_on_one_token_is_no_call() -> None:
    # Unclocked ones were answered ahead: what is told is true of them.
    asking = replace(HONEST, one_price=Price(block_ns=MS // 2, call_ns=100_000))
    honest = seen(Scene.ONE_CLOCKED, 0.15, parent_ms=0.15 * 40 + 10, calls=40)
    assert clocks_agree(replace(asking, blocks=(*HONEST.blocks, *(honest,) * 13))).outcome is Outcome.PASSED
    short = replace(honest, parent_ns=honest.parent_ns + 40 * 300_000)
    judged = clocks_agree(replace(asking, blocks=(*HONEST.blocks, *(short,) * 13)))
    assert judged.outcome is Outcome.FAILED
    assert "of which asking explains" in judged.message


@pytest.mark.parametrize("scene", [Scene.ONE_CLOCKED, Scene.CLOCKED], ids=lambda one: one.name)
def test_a_short_call_does_the_work_of_no_other(scene: Scene) -> None:
    ahead = replace(seen(scene, 0.02, calls=40), calls_ns=(3 * MS, *(20_000,) * 39))
    assert does_its_own_work(replace(HONEST, blocks=(*HONEST.blocks, *(ahead,) * 13))).outcome is Outcome.FAILED
    # Three in four blocks are disturbed; and threads wake up in the first calls.
    waking = replace(ahead, calls_ns=(300_000, 200_000, *(100_000,) * 38))
    blocks = (*HONEST.blocks, *(ahead,) * 9, *(waking,) * 4)
    assert does_its_own_work(replace(HONEST, blocks=blocks)).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("clocked", "alone"),
    [(Scene.ONE_CLOCKED, Scene.ONE_ALONE), (Scene.CLOCKED, Scene.ALONE)],
    ids=["one", "all"],
)
@pytest.mark.parametrize("every", [2, 3])
def test_calls_that_find_answers_ready_are_told_from_those_that_find_weights(
    clocked: Scene, alone: Scene, every: int
) -> None:
    uneven = (100_000, *(20_000,) * (every - 1)) * (42 // every)
    some = (replace(seen(clocked, 0.02, calls=42), calls_ns=uneven),) * 13
    ahead = (*HONEST.blocks, *some, *(seen(alone, 0.1, calls=1),) * 13)
    judged = does_its_own_work(replace(HONEST, blocks=ahead))
    assert judged.outcome is Outcome.FAILED
    assert "many take 20 us" in judged.message
    # A weight that was packed at its last use is ready for some of the calls made alone too.
    packed = (*HONEST.blocks, *some, *(seen(alone, 0.1, calls=1),) * 12, seen(alone, 0.05, calls=1))
    assert does_its_own_work(replace(HONEST, blocks=packed)).outcome is Outcome.PASSED
    # Colder caches make every call alone longer, and those of blocks are alike.
    cold = (*HONEST.blocks, *(seen(clocked, 0.02, calls=42),) * 13, *(seen(alone, 0.1, calls=1),) * 13)
    assert does_its_own_work(replace(HONEST, blocks=cold)).outcome is Outcome.PASSED


def test_unclocked_calls_make_up_for_a_clock_that_tells_nothing() -> None:
    dear = replace(HONEST, price=Price(block_ns=8 * MS, call_ns=9 * MS))
    both = beside(40, scenes=(Scene.CLOCKED, Scene.UNCLOCKED))
    assert clocks_agree(replace(dear, blocks=(*HONEST.blocks, *both))).outcome is Outcome.PASSED
