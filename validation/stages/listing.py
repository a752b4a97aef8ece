"""`claims`, `workloads` and `implementations`: what is known."""

import json
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from validation.claims.claim import Reading
from validation.implementations.menu import KNOWN
from validation.stages.selection import load_claims_files
from validation.workloads.registry import WORKLOADS


def show_claims(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Prints each claim with its readings; without `paths`, the published claims and this project's own."""
    files = [source.file for source in load_claims_files(paths)]
    if as_json:
        typer.echo(json.dumps([file.model_dump(mode="json") for file in files], indent=1))
        return
    console = Console(highlight=False)
    for file in files:
        for claim in file.claims:
            console.print(f"[bold]{claim.id}[/]: {escape(claim.title)} ({claim.provenance.value})")
            for reading in claim.readings:
                line = f"{reading.id}{' *' if reading.strict else ''}: {_reading_line(reading)}"
                console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print("* the strict reading: same device, same dtype, strongest baseline. It gives the headline.")


def _reading_line(reading: Reading) -> str:
    bound = reading.requirement
    sign = "at least" if bound.at_least is not None else "at most"
    against = f" over {reading.baseline}" if reading.baseline else ""
    if reading.untestable is not None:
        return f"not testable: {reading.untestable}"
    return f"{reading.metric} {sign} {bound.bound:.10g}{against}, {reading.workload}, {reading.device} {reading.dtype}"


def show_workloads(*, as_json: bool) -> None:
    """Prints the named workloads with their shapes and work."""
    if as_json:
        rows = [
            {
                "name": w.name,
                "tokens": w.tokens,
                "d_model": w.layer.d_model,
                "d_ff": w.layer.d_ff,
                "n_experts": w.layer.n_experts,
                "top_k": w.layer.top_k,
                "activation": w.layer.activation,
                "gated": w.layer.gated,
                "dtype": w.layer.dtype,
                "flops": w.flops,
                "min_bytes": w.min_bytes,
                "description": w.description,
            }
            for w in WORKLOADS.values()
        ]
        typer.echo(json.dumps(rows, indent=1))
        return
    table = _table("workload", "T", "d", "f", "E", "k", "dtype", "GFLOP")
    for w in WORKLOADS.values():
        shape = (w.tokens, w.layer.d_model, w.layer.d_ff, w.layer.n_experts, w.layer.top_k)
        table.add_row(w.name, *(str(n) for n in shape), w.layer.dtype, f"{w.flops / 1e9:.4g}")
    Console().print(table)


def _table(name: str, *columns: str) -> Table:
    """A table that never cuts a name: whoever reads it here types it next. 80 columns hold the longest."""
    return Table(Column(name, no_wrap=True), *columns, box=SIMPLE_HEAD, show_edge=False, pad_edge=False)


def show_implementations(*, as_json: bool) -> None:
    """Prints the candidate and every baseline."""
    if as_json:
        rows = [
            {
                "name": one.name,
                "family": one.family,
                "dtypes": sorted(one.dtypes),
                "devices": sorted(one.devices),
                "description": one.description,
            }
            for one in KNOWN
        ]
        typer.echo(json.dumps(rows, indent=1))
        return
    table = _table("implementation", "dtypes", "what it is")
    for one in KNOWN:
        table.add_row(one.name, ", ".join(sorted(one.dtypes)), one.description)
    Console().print(table)
