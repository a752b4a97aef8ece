"""A trained layer as the command line names it, and as a workload that can be checked and measured."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from validation.correctness.trained import TOKENS, check_trained
from validation.stages.console import step
from validation.stages.subject import Running, Subject
from validation.usage import UsageError
from validation.workloads.checkpoint import Checkpoint, load_layer
from validation.workloads.workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from validation.correctness.case import Case
    from validation.implementations.mailbox import Doing
    from validation.workloads.layer import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedLayer:
    """The layer, the workload of T random tokens on it, and a line that says which weights these were."""

    layer: Layer
    workload: Workload
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A checkpoint and the tokens T of a call."""

    checkpoint: Checkpoint
    tokens: int

    @classmethod
    def of(cls, weights: Path | None, prefix: str | None, config: Path | None, tokens: int) -> Self | None:
        """Returns what --layer, --prefix, --config and --tokens ask for; None when none of the first three is given.

        Raises:
            UsageError: some are given and some are not, or there would be no token.
        """
        given = {"--layer": weights, "--prefix": prefix, "--config": config}
        missing = [option for option, value in given.items() if value is None]
        if len(missing) == len(given):
            return None
        if weights is None or prefix is None or config is None:
            raise UsageError(f"a trained layer needs --layer, --prefix and --config; missing: {', '.join(missing)}")
        if tokens < 1:
            raise UsageError(f"--tokens must be at least 1; got {tokens}")
        return cls(checkpoint=Checkpoint(weights=weights, prefix=prefix, config=config), tokens=tokens)

    @property
    def options(self) -> str:
        """The options of the command line that name it."""
        source = self.checkpoint
        words = (
            "--layer",
            source.weights,
            "--prefix",
            source.prefix,
            "--config",
            source.config,
            "--tokens",
            self.tokens,
        )
        return shlex.join(str(word) for word in words)

    def load(self) -> TrainedLayer:
        """Returns the layer.

        Raises:
            UsageError: it cannot be read; see `load_layer`.
        """
        layer, source = load_layer(self.checkpoint), self.checkpoint
        name = f"{source.prefix.rstrip('.')}@{source.weights.name}"
        with source.weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return TrainedLayer(
            layer=layer,
            workload=Workload(
                name=name, tokens=self.tokens, layer=layer.config, description=f"trained weights, {self.tokens} tokens"
            ),
            note=f"The weights of workload {name} are trained ones, SHA-256 {digest}; its tokens are random.",
        )


def observe_trained(
    subject: Subject, trained: TrainedLayer, source: Trained, heard: list[Doing], console: Console
) -> tuple[Case, ...]:
    """Returns the cases on the trained weights, as the candidate, in a process of its own, answered them.

    What it was reported to do is added to `heard`.

    Raises:
        UsageError: the kernel's file cannot be loaded.
    """
    candidate = replace(subject.candidate, repro=f"{subject.candidate.repro} {source.options}")
    cases: list[Case] = []
    with Running(subject, heard) as running, step(console, "cases on trained weights", len(TOKENS) + 1) as shown:
        running.load()
        for case in check_trained(trained.layer, source.tokens, running, candidate):
            cases.append(case)
            shown.note(case.id)
            shown.advance()
    return tuple(cases)
