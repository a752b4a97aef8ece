"""How an implementation fails: with its worker alive, or taking it along."""


class ImplementationFailed(Exception):  # noqa: N818 -- the kernel's failure, not an error of this program
    """A kernel did not do what was asked, and its worker can go on.

    `stage` is what was asked (load, prepare, call), `cause` the named cause, `output` the last lines the kernel
    printed.
    """

    def __init__(self, stage: str, cause: str, output: str = "") -> None:
        """States the failure as one line."""
        super().__init__(f"{stage}: {cause}")
        self.stage = stage
        self.cause = cause
        self.output = output


class Misbehaved(ImplementationFailed):
    """A call was answered, and did what no call may do: wrote outside its output, changed its input, wrote nothing."""


class WorkerEnded(ImplementationFailed):
    """The worker is gone: it exited, was killed by a signal, or was ended at its time limit."""
