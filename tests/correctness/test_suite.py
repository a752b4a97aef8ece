from collections.abc import Callable

import pytest
import torch

from tests.correctness.kernels import forward
from validation.correctness.case import Outcome
from validation.correctness.planted_faults import FOLDER
from validation.correctness.question import LAYERS_KEPT, ask
from validation.correctness.runner import Result, in_process, in_worker
from validation.correctness.spec import PLAIN, QUESTIONS, Check, LayerVariant
from validation.correctness.suite import ALL_VARIANTS, Candidate, check, find_case, plan_cases
from validation.implementations.failure import Misbehaved
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.process import Worker
from validation.usage import UsageError
from validation.workloads.layer import Layer


def plain(layer: Layer, x: torch.Tensor) -> Result:
    return forward(layer, x), None, None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("profile", ["smoke", "standard", "full"])
def test_every_planned_case_is_found_again_by_its_id(profile: str, dtype: str) -> None:
    specs = plan_cases(profile, dtype, 3, ALL_VARIANTS)  # type: ignore[arg-type]
    again = [find_case(spec.id) for spec in specs]
    assert [spec.id for spec in again] == [spec.id for spec in specs]
    assert [spec.workload.layer for spec in again] == [spec.workload.layer for spec in specs]


def test_a_case_found_by_its_id_has_the_same_layer_and_tokens() -> None:
    spec = next(spec for spec in plan_cases("smoke", "float32") if spec.check is Check.NEAR_TIES)
    one, other = ask(spec).calls[0], ask(find_case(spec.id)).calls[0]
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.layer.router_weight, other.layer.router_weight)


def test_every_check_is_planned_and_has_its_question() -> None:
    planned = {spec.check for spec in plan_cases("smoke", "float32")}
    assert planned == set(Check) == set(QUESTIONS)


@pytest.mark.parametrize(
    ("case_id", "message"),
    [
        ("random", "a case is spelt CHECK:SHAPE"),
        ("randon:1x1x1-E1-k1", "no check is named 'randon'"),
        ("scale:1x1x1-E1-k1", "the check scale takes one that matches"),
        ("exact:4x8x8-E16-k2", "no more experts than d_model"),
        ("random:1x1-E1-k1", "a shape is spelt"),
    ],
)
def test_a_wrong_case_id_is_the_users_mistake_and_says_what_is_wrong(case_id: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_case(case_id)


def test_the_repro_line_ends_with_the_case() -> None:
    spec = find_case("random:5x16x16-E4-k2-float32")
    case = check(spec, plain, Candidate(name="mine", repro="moe-validation check --kernel mine.py"))
    assert case.outcome is Outcome.PASSED
    assert case.repro == f"moe-validation check --kernel mine.py --case {spec.id}"


def declining(layer: Layer, x: torch.Tensor, /) -> Result:
    raise NotImplementedError(f"no {layer.config.activation} here, {x.dtype}")


@pytest.mark.parametrize(
    ("shape", "required", "outcome"),
    [
        ("5x16x16-E4-k2-silu-gated-float32", PLAIN, Outcome.NOT_SUPPORTED),
        ("5x17x16-E4-k2-float32", PLAIN, Outcome.NOT_SUPPORTED),
        ("5x16x16-E4-k2-float32", PLAIN, Outcome.FAILED),
        ("5x16x16-E4-k2-silu-gated-float32", LayerVariant(activation="silu", gated=True), Outcome.FAILED),
    ],
)
def test_declining_is_a_fault_only_for_what_is_claimed(shape: str, required: LayerVariant, outcome: Outcome) -> None:
    case = check(find_case(f"random:{shape}"), declining, Candidate(name="shy", required=required))
    assert case.outcome is outcome


def refusing_no_tokens(layer: Layer, x: torch.Tensor, /) -> Result:
    if len(x) == 0:
        raise IndexError("list index out of range")
    return plain(layer, x)


@pytest.mark.parametrize(
    ("case_id", "outcome"),
    [("random:0x16x16-E4-k2", Outcome.NOT_SUPPORTED), ("shrinking:9x16x16-E4-k2", Outcome.PASSED)],
)
def test_refusing_no_tokens_is_wrong_for_a_strict_candidate_alone(case_id: str, outcome: Outcome) -> None:
    spec = find_case(case_id)
    assert check(spec, refusing_no_tokens, Candidate(name="usual")).outcome is outcome
    assert check(spec, refusing_no_tokens, Candidate(name="ours", strict=True)).outcome is Outcome.FAILED


@pytest.mark.parametrize(("kind", "outcome"), [(ValueError, Outcome.NOT_SUPPORTED), (IndexError, Outcome.FAILED)])
def test_odd_widths_are_declined_on_purpose_or_crash(kind: type[Exception], outcome: Outcome) -> None:
    def raising(_layer: Layer, _x: torch.Tensor) -> Result:
        raise kind("d_model must be a multiple of 16")

    assert check(find_case("random:5x17x16-E4-k2-float32"), raising, Candidate(name="shy")).outcome is outcome


def test_more_experts_than_a_byte_counts_may_be_declined_by_anybody() -> None:
    def declining(_layer: Layer, _x: torch.Tensor) -> Result:
        raise ValueError("n_experts must be at most 256")

    ours = Candidate(name="ours", strict=True)
    assert check(find_case("random:5x16x16-E257-k2"), declining, ours).outcome is Outcome.NOT_SUPPORTED
    assert check(find_case("random:5x16x16-E256-k2"), declining, ours).outcome is Outcome.FAILED


def test_an_input_changed_is_no_refusal() -> None:
    def spoiling(_layer: Layer, _x: torch.Tensor) -> Result:
        raise Misbehaved("forward", "changed its input x")

    case = check(find_case("strided.rows:9x16x16-E4-k2-float32"), spoiling, Candidate(name="spoiling"))
    assert case.outcome is Outcome.FAILED


@pytest.mark.parametrize("check_id", ["strided.rows", "strided.transposed", "misaligned", "nonfinite"])
def test_refusing_an_odd_input_is_right(check_id: str) -> None:
    def refusing(layer: Layer, x: torch.Tensor) -> Result:
        if x.is_contiguous() and x.data_ptr() % 16 == 0 and torch.isfinite(x).all():
            return forward(layer, x), None, None
        raise ValueError("x must be contiguous, aligned and finite")

    case = check(find_case(f"{check_id}:9x16x16-E4-k2-float32"), refusing, Candidate(name="strict"))
    assert case.outcome is Outcome.PASSED
    assert case.message.startswith("refused")


def test_a_candidate_that_raises_is_a_failed_case_and_never_an_exception() -> None:
    def broken(_layer: Layer, _x: torch.Tensor) -> Result:
        raise ZeroDivisionError("by design")

    case = check(find_case("random:9x16x16-E4-k2-float32"), broken, Candidate(name="broken"))
    assert case.outcome is Outcome.FAILED
    assert "ZeroDivisionError: by design" in case.message


@pytest.mark.parametrize("case_id", ["shrinking:20x16x24-E4-k2-float32", "strided.rows:20x16x24-E4-k2-float32"])
def test_cases_run_in_a_worker_as_they_do_here(case_id: str) -> None:
    with Worker(threads=1) as worker:
        worker.load(parse_kernel(str(FOLDER / "by_steps.py")))
        case = check(find_case(case_id), in_worker(worker), Candidate(name="by_steps"))
    assert case.outcome is Outcome.PASSED, case.message


def test_a_run_in_this_process_prepares_each_layer_once() -> None:
    prepared = []

    def prepare(layer: Layer) -> Callable[..., object]:
        prepared.append(layer)
        return lambda x: forward(layer, x)

    check(
        find_case("several_layers:9x16x16-E4-k2-float32"), in_process(prepare, fills=False), Candidate(name="counted")
    )
    assert len(prepared) == LAYERS_KEPT + 2
