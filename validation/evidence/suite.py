"""Which suite observed: its version, and the commit it stands at."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from validation import __version__
from validation.evidence.record import Suite

ROOT: Final = Path(__file__).parents[2]
UNKNOWN: Final = "unknown"


def suite_info(root: Path = ROOT) -> Suite:
    """Returns version and commit of the suite at `root`; `dirty` when files differ from that commit.

    The commit is "unknown" where `root` is no repository of its own, as in an installed package.
    """
    commit = _git(root, "rev-parse", "HEAD") if _is_repository(root) else None
    if commit is None:
        return Suite(version=__version__, commit=UNKNOWN, dirty=False)
    return Suite(version=__version__, commit=commit, dirty=_git(root, "status", "--porcelain") != "")


def _is_repository(root: Path) -> bool:
    """A package installed below somebody else's repository must not take that one's commit for its own."""
    top = _git(root, "rev-parse", "--show-toplevel")
    return top is not None and Path(top).resolve() == root.resolve()


def _git(root: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    outcome = subprocess.run([git, "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return outcome.stdout.strip() if outcome.returncode == 0 else None
