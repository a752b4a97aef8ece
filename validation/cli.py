"""The command line. It parses, calls one stage, and turns the outcome into an exit code.

Stages are imported when they are called, so that `audit` and `verify` start without torch or a plotting library.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from validation import __version__
from validation.usage import UsageError

#: The candidate is wrong, dishonest or below one of this project's own thresholds, or a report does not verify.
EXIT_REJECTED = 1
#: The input is at fault.
EXIT_USAGE = 2


class _Commands(TyperGroup):
    """Every command; one that is interrupted says so in a line, and what is kept where a stage knows of anything."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 -- the library's own kind of context, which it does not export
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            typer.echo(f"moe-validation: interrupted. {interrupt}".rstrip(), err=True)
            # typer turns it into the shell's code for an interrupt: 128 + SIGINT, 130.
            raise


app = typer.Typer(
    name="moe-validation",
    cls=_Commands,
    help="Tells whether a published performance claim about a Mixture-of-Experts kernel may be believed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

type_profile = Literal["smoke", "standard", "full"]
type_device = Literal["cpu", "cuda", "auto"]

ProfileOption = Annotated[
    type_profile, typer.Option(help="How much is measured: 5, 12 or 20 process pairs; smoke takes 90 seconds.")
]
KernelOption = Annotated[
    str | None,
    typer.Option("--kernel", metavar="FILE.py:prepare", help="Your kernel; without it the Mojo kernel is validated."),
]
ClaimsOption = Annotated[
    list[Path] | None,
    typer.Option("--claims", metavar="FILE.toml", help="Claims to judge; without it the published ones and our own."),
]
DeviceOption = Annotated[
    type_device, typer.Option(help="Where to run; auto is the GPU where a bundle is named, else the CPU.")
]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", metavar="DIR", help="The Mojo kernel for a GPU, as `bundle` made it.")
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where evidence, verdicts and report go.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
EvidenceArgument = Annotated[
    list[Path], typer.Argument(metavar="EVIDENCE.json...", help="Evidence of one or more runs.")
]

DEFAULT_OUT = Path("build/report")


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the flag's value
    if value:
        typer.echo(f"moe-validation {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


LayerOption = Annotated[
    Path | None,
    typer.Option("--layer", metavar="MODEL.safetensors", help="A trained layer of Mixtral, Qwen3-MoE or DeepSeek-V3."),
]
PrefixOption = Annotated[
    str | None, typer.Option("--prefix", metavar="NAME", help="Its name there, as in model.layers.0.mlp.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="config.json", help="The model's config.json.")]
TokensOption = Annotated[int, typer.Option("--tokens", metavar="T", help="Tokens of a call on the trained layer.")]


@app.command()
def run(
    *,
    profile: ProfileOption = "standard",
    kernel: KernelOption = None,
    claims: ClaimsOption = None,
    device: DeviceOption = "auto",
    bundle: BundleOption = None,
    graph: Annotated[bool, typer.Option("--graph", help="Time your kernel in CUDA graphs (--device cuda).")] = False,
    workload: Annotated[
        list[str] | None, typer.Option("--workload", metavar="NAME", help="Measure only these (see `workloads`).")
    ] = None,
    layer: LayerOption = None,
    prefix: PrefixOption = None,
    config: ConfigOption = None,
    tokens: TokensOption = 256,
    out: OutOption = DEFAULT_OUT,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from a run that was cut off.")] = False,
) -> None:
    """Check, measure, judge and report: everything."""
    from validation.stages.run import RunRequest, run_validation
    from validation.stages.trained import Trained

    request = RunRequest(
        profile=profile,
        kernel=kernel,
        claims=tuple(claims or ()),
        device=device,
        bundle=bundle,
        graph=graph,
        workloads=tuple(workload or ()),
        out=out,
        resume=resume,
        trained=Trained.of(layer, prefix, config, tokens),
    )
    _finish(accepted=run_validation(request))


@app.command()
def check(
    *,
    profile: ProfileOption = "standard",
    kernel: KernelOption = None,
    device: DeviceOption = "auto",
    bundle: BundleOption = None,
    case: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="ID", help="Re-run only these cases, as a failure prints them."),
    ] = None,
    workload: Annotated[
        str | None,
        typer.Option("--workload", metavar="NAME", help="What the kernel is for, where that is not the plain layer."),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require", metavar="OPTION", help="What it must deal with besides: gated, bfloat16, ...; or all."
        ),
    ] = None,
    layer: LayerOption = None,
    prefix: PrefixOption = None,
    config: ConfigOption = None,
    tokens: TokensOption = 256,
    as_json: JsonOption = False,
) -> None:
    """Is the kernel right and honest? Measures no speed; honesty is looked at on the published shape."""
    from validation.stages.check import CheckRequest, check_kernel
    from validation.stages.trained import Trained

    request = CheckRequest(
        profile=profile,
        kernel=kernel,
        device=device,
        bundle=bundle,
        cases=tuple(case or ()),
        as_json=as_json,
        workload=workload,
        require=tuple(require or ()),
        trained=Trained.of(layer, prefix, config, tokens),
    )
    _finish(accepted=check_kernel(request))


@app.command()
def build(*, profile: ProfileOption = "standard") -> None:
    """Compile the Mojo kernel, its ablations and its benchmark for this CPU, before a run has to."""
    from validation.stages.build import build_for

    build_for(profile)


@app.command()
def planted(*, as_json: JsonOption = False) -> None:
    """How many broken and dishonest kernels does this build catch? Takes some minutes."""
    from validation.stages.planted import try_planted

    _finish(accepted=try_planted(as_json=as_json))


@app.command()
def audit(*, claims: ClaimsOption = None, as_json: JsonOption = False) -> None:
    """Do the published numbers agree with each other? Needs no kernel and no hardware."""
    from validation.stages.audit import audit_claims

    audit_claims(tuple(claims or ()), as_json=as_json)


@app.command()
def judge(*, evidence: EvidenceArgument, claims: ClaimsOption = None, out: OutOption = DEFAULT_OUT) -> None:
    """Derive the verdicts from recorded evidence."""
    from validation.stages.judge import judge_evidence

    _finish(accepted=judge_evidence(tuple(evidence), tuple(claims or ()), out))


@app.command()
def report(
    *,
    evidence: EvidenceArgument,
    claims: ClaimsOption = None,
    out: OutOption = DEFAULT_OUT,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY", help="Sign it with this ed25519 private key (PEM).")
    ] = None,
) -> None:
    """Write one report over several machines' evidence."""
    from validation.stages.report import report_evidence

    _finish(accepted=report_evidence(tuple(evidence), tuple(claims or ()), out, sign))


@app.command()
def verify(
    *,
    pdf: Annotated[Path, typer.Argument(metavar="REPORT.pdf", help="A report with its evidence embedded.")],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="PUB", help="Who must have signed it: an ed25519 public key (PEM).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Re-derive the verdicts from the evidence embedded in a report, and say who signed it."""
    from validation.stages.verify import verify_report

    _finish(accepted=verify_report(pdf, key, as_json=as_json))


@app.command("claims")
def list_claims(*, claims: ClaimsOption = None, as_json: JsonOption = False) -> None:
    """List the claims and their readings."""
    from validation.stages.listing import show_claims

    show_claims(tuple(claims or ()), as_json=as_json)


@app.command("workloads")
def list_workloads(*, as_json: JsonOption = False) -> None:
    """List the named workloads."""
    from validation.stages.listing import show_workloads

    show_workloads(as_json=as_json)


@app.command("implementations")
def list_implementations(*, as_json: JsonOption = False) -> None:
    """List the implementations that can be measured."""
    from validation.stages.listing import show_implementations

    show_implementations(as_json=as_json)


@app.command()
def bundle(
    *,
    target: Annotated[str, typer.Option(help="The GPU architecture; sm_90a is Hopper (H100, H200).")] = "sm_90a",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to make.")] = Path("build/bundle"),
) -> None:
    """Compile the GPU kernel into a folder that runs where no Mojo is installed. Needs no GPU."""
    from validation.stages.bundle import make_bundle

    make_bundle(target, out)


@app.command()
def languages(
    *,
    evidence: Annotated[Path, typer.Argument(metavar="EVIDENCE.json")] = Path("build/report/evidence.json"),
    workload: Annotated[str, typer.Option("--workload", metavar="NAME")] = "seed-claim",
    out: Annotated[Path, typer.Option("--out", metavar="FILE.md")] = Path("docs/CROSS_LANGUAGE_ANALYSIS.md"),
) -> None:
    """Write the page that sets the layer in Python, NumPy, PyTorch, C++ and Mojo side by side."""
    from validation.stages.languages import write_languages

    _finish(accepted=write_languages(evidence, workload, out))


@app.command("benchmark-official")
def benchmark_official(*, workload: Annotated[str, typer.Option("--workload", metavar="NAME")] = "seed-claim") -> None:
    """Time the Mojo kernel with Mojo's own benchmark module, without Python, beside this suite's figure."""
    from validation.stages.official import benchmark_official as compare

    _finish(accepted=compare(workload))


@app.command()
def demo(*, out: Annotated[Path, typer.Option("--out", metavar="DIR")] = Path("build/demo")) -> None:
    """Under two minutes: build the kernel, show that it is right and how fast on one shape."""
    from validation.stages.demo import demonstrate

    _finish(accepted=demonstrate(out))


@app.command()
def doctor(*, as_json: JsonOption = False) -> None:
    """What this machine has and lacks, with the exact line that mends it."""
    from validation.stages.doctor import show_diagnosis

    show_diagnosis(as_json=as_json)


def _finish(*, accepted: bool) -> None:
    if not accepted:
        raise typer.Exit(EXIT_REJECTED)


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2, never a traceback."""
    try:
        app()
    except UsageError as error:
        typer.echo(f"moe-validation: {error}", err=True)
        raise SystemExit(EXIT_USAGE) from None


if __name__ == "__main__":
    main()
