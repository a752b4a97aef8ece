"""What the hook tells of sockets and limits, where the system's folders are guarded, and what is free in them."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.implementations.kernels import LIMITS, kernel
from validation.implementations.mailbox import Doing
from validation.implementations.process import Worker
from validation.implementations.worker import hook
from validation.implementations.worker.fence import Folders


def _doings(folder: Path, code: str) -> tuple[Doing, ...]:
    source = f"import asyncio, contextlib, os, resource, socket\n{dedent(code)}\ndef prepare(layer): pass\n"
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(folder, source))
        return worker.doings


def test_where_a_socket_is_bound_is_told(tmp_path: Path) -> None:
    code = """
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                class Host(str): pass
                two.bind((Host("127.0.0.1"), 0))
    """
    bound = [doing.argument for doing in _doings(tmp_path, code) if doing.event == "socket.bind"]
    assert bound == ["an object, ('127.0.0.1', 0)", "an object, an object"]


def test_every_socket_that_may_leave_the_machine_is_told_each_time_it_is_made(tmp_path: Path) -> None:
    # Accepted ones too.
    code = """
        with socket.socket() as heard, socket.socket() as caller:
            heard.bind(("127.0.0.1", 0))
            heard.listen()
            caller.connect(heard.getsockname())
            heard.accept()[0].close()
    """
    made = [doing.argument for doing in _doings(tmp_path, code) if doing.event == "socket.__new__"]
    assert made == ["an object, 2, 1, 0"] * 3


def test_a_pair_of_sockets_as_asyncio_makes_is_nobodys_business(tmp_path: Path) -> None:
    assert _doings(tmp_path, "asyncio.new_event_loop().close()") == ()


def test_limits_of_another_process_are_told_and_its_own_are_free(tmp_path: Path) -> None:
    own = "[resource.prlimit(pid, resource.RLIMIT_CPU) for pid in (0, os.getpid())]"
    assert _doings(tmp_path, own) == ()
    (doing,) = _doings(tmp_path, "resource.prlimit(os.getppid(), resource.RLIMIT_CPU)")
    assert doing.event == "resource.prlimit"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/sys/moe-none", True),
        ("/proc/moe-none", True),
        ("/proc/1/moe-none", True),
        ("/proc/{os.getppid()}/moe-none", True),
        ("/proc/{os.getpid()}/moe-none", False),
        ("/proc/self/moe-none", False),
        ("/proc/thread-self/moe-none", False),
        ("/usr/moe-none", True),
        ("/usr/src/moe-none", False),
        ("/usr/local/moe-none", True),
        ("/usr/local/src/moe-none", False),
        ("/usr/src/../moe-none", True),
    ],
)
def test_controls_of_the_system_and_what_it_loads_are_guarded_and_sources_are_free(
    tmp_path: Path,
    path: str,
    told: bool,  # noqa: FBT001 -- a test's parameter
) -> None:
    # There is none of these files, and none is made.
    doings = _doings(tmp_path, f"with contextlib.suppress(OSError): os.open(f{path!r}, os.O_WRONLY)")
    assert {doing.event for doing in doings} == ({hook.WRITTEN} if told else set())


def test_a_suite_that_is_installed_among_sources_is_guarded_there() -> None:
    root = "/usr/src/app"
    writes = Folders(
        forbidden=[f"{root}/validation"], guarded=["/usr", f"{root}/venv"], allowed=[], own=[f"{root}/venv/mine"]
    ).writes()
    guarded = [f"{root}/validation/a", f"{root}/venv/a", "/usr/lib/a"]
    free = [f"{root}/kernel.so", f"{root}/venv/mine/a"]
    assert [writes(path) for path in (*guarded, *free)] == [True] * 3 + [False] * 2
