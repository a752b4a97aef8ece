import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Barrier
from typing import Final

import pytest
import torch
from torch._inductor.runtime import cache_dir_utils

from tests.implementations.kernels import CONFIG, HONEST, LIMITS, forward_kernel, kernel
from validation.correctness.planted_cheats import FOLDER
from validation.implementations import arena, inherited, kinship, spawn
from validation.implementations.block_memory import BlockMemory
from validation.implementations.failure import ImplementationFailed, WorkerEnded
from validation.implementations.implementation import Implementation
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.limits import Limits
from validation.implementations.manner import Manner
from validation.implementations.process import Worker
from validation.implementations.worker import hook
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import Layer, LayerConfig


def answer(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    weights, ids = torch.softmax(x @ layer.router_weight, -1).topk(CONFIG.top_k)
    weights = weights / weights.sum(-1, keepdim=True)
    experts = torch.stack([torch.relu(x @ layer.w1[e]) @ layer.w2[e] for e in range(CONFIG.n_experts)], 1)
    picked: torch.Tensor = experts.gather(1, ids[:, :, None].expand(-1, -1, CONFIG.d_model))
    return (weights[:, :, None] * picked).sum(1)


def failure(worker: Worker, implementation: Implementation, layer: Layer, x: torch.Tensor) -> ImplementationFailed:
    with pytest.raises(ImplementationFailed) as caught:  # noqa: PT012 -- whichever step it fails in
        worker.load(implementation)
        worker.prepare(layer)
        worker.call(x)
    return caught.value


def death(implementation: Implementation, layer: Layer, x: torch.Tensor, limits: Limits = LIMITS) -> WorkerEnded:
    """How a worker ends; nothing of it may be left."""
    with Worker(threads=1, limits=limits) as worker:
        mark = worker._spawned.mark
        ended = failure(worker, implementation, layer, x)
    assert isinstance(ended, WorkerEnded)
    assert kinship.descendants(mark) == ()
    return ended


# What a kernel gives back.


def test_an_honest_kernel_is_right_and_tells_its_routing(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    sha256 = shared_worker.load(kernel(tmp_path, HONEST))
    prepared = shared_worker.prepare(layer)
    output = shared_worker.call(x)
    torch.testing.assert_close(output.out, answer(layer, x))
    assert output.ids is not None
    assert output.weights is not None
    assert output.ids.shape == output.weights.shape == (16, 2)
    assert output.x_unchanged
    assert output.worker_ns > 0
    assert prepared.prepare_ns > 0
    assert len(sha256) == 64


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ("x, out", "out.fill_(3.0)"),
        ("x, result", "result.fill_(3.0)"),
        ("x, *, out", "out.fill_(3.0)"),
        ("x, out=None", "out.fill_(3.0)"),
        ("x", "return torch.full_like(x, 3.0)"),
        ("x, scale=3.0", "return torch.full_like(x, scale)"),
        ("x, out", "return torch.full_like(x, 3.0)"),
        ("*args", "args[1].fill_(3.0)"),
        ("*args", "x, = args\nreturn torch.full_like(x, 3.0)"),
        ("x", "return torch.full_like(x, 3.0).numpy()"),
        ("x", "return torch.full_like(x, 3.0), torch.zeros(16, 2, dtype=torch.int32), torch.ones(16, 2)"),
    ],
)
def test_every_form_of_forward_is_called_as_it_is_written(  # noqa: PLR0913, PLR0917 -- fixtures
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor, parameters: str, body: str
) -> None:
    shared_worker.load(forward_kernel(tmp_path, body, parameters=parameters))
    shared_worker.prepare(layer)
    assert bool((shared_worker.call(x).out == 3.0).all())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_every_dtype_passes_through_unchanged(shared_worker: Worker, tmp_path: Path, dtype: str) -> None:
    config = LayerConfig(d_model=8, d_ff=16, n_experts=4, top_k=2, dtype=dtype)
    x = draw_tokens(config, 5)
    shared_worker.load(forward_kernel(tmp_path, "out.copy_(x)"))
    shared_worker.prepare(make_layer(config))
    assert torch.equal(shared_worker.call(x).out, x)


def test_no_tokens_are_no_failure(shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    shared_worker.load(kernel(tmp_path, HONEST))
    shared_worker.prepare(layer)
    assert shared_worker.call(x[:0]).out.shape == (0, 8)


def test_strides_of_the_input_reach_the_kernel(shared_worker: Worker, tmp_path: Path, layer: Layer) -> None:
    x = torch.randn(8, 16).T
    shared_worker.load(forward_kernel(tmp_path, "assert x.stride() == (1, 16), x.stride()\nout.copy_(x)"))
    shared_worker.prepare(layer)
    assert torch.equal(shared_worker.call(x).out, x)


def test_every_call_of_a_block_gets_its_own_input_at_its_own_address(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    body = """
    addresses = state.setdefault("addresses", set())
    assert x.data_ptr() not in addresses and out.data_ptr() not in addresses
    addresses |= {x.data_ptr(), out.data_ptr()}
    out.copy_(x)
    """
    inputs = [x + float(number) for number in range(5)]
    shared_worker.load(forward_kernel(tmp_path, body))
    shared_worker.prepare(layer)
    block = shared_worker.call_block(inputs)
    assert all(torch.equal(output.out, given) for output, given in zip(block.outputs, inputs, strict=True))
    assert sum(block.calls_ns) <= block.parent_ns


def test_an_input_is_not_to_be_seen_before_its_call(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    # The kernel looks for its next input in all the memory it can address: the arena is one file in /proc/self/maps.
    body = """
    needle = (x[0] + 1.0).numpy().tobytes()
    found = 0
    for line in open("/proc/self/maps"):
        words = line.split()
        if len(words) > 5 and "memfd" in words[5]:
            start, stop = (int(word, 16) for word in words[0].split("-"))
            found += ctypes.string_at(start, stop - start).count(needle)
    out.fill_(float(found))
    """
    shared_worker.load(forward_kernel(tmp_path, body))
    shared_worker.prepare(layer)
    block = shared_worker.call_block([x, x + 1.0])
    assert bool((block.outputs[0].out == 0.0).all())


def test_a_call_is_made_when_it_is_due_and_no_sooner(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    shared_worker.load(forward_kernel(tmp_path, "out.copy_(x)"))
    shared_worker.prepare(layer)
    due_ns = (0, 40_000_000, 40_000_000)
    block = shared_worker.call_block([x, x + 1, x + 2], Manner(due_ns=due_ns))
    assert block.ends_ns[0] < 40_000_000 <= block.ends_ns[1] <= block.ends_ns[2] <= block.parent_ns
    # Waiting is nobody's call.
    assert max(block.calls_ns) < 40_000_000


def test_two_implementations_in_one_process_each_find_their_own_environment(
    tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    body = "out.fill_(float(os.environ['NUMBER']))"
    both = [
        replace(forward_kernel(tmp_path, body, name), environment=(("NUMBER", number),), trusted=True)
        for name, number in (("first", "1"), ("second", "2"))
    ]
    with Worker(threads=1, trusted=True, limits=LIMITS) as worker:
        for one in (*both, both[0]):
            worker.load(one)
            worker.prepare(layer)
            assert float(worker.call(x).out[0, 0]) == float(one.environment[0][1])


def test_a_changed_input_is_noticed(shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    shared_worker.load(forward_kernel(tmp_path, "out.copy_(x)\nx[3, 3] += 1.0"))
    shared_worker.prepare(layer)
    assert not shared_worker.call_block([x]).outputs[0].x_unchanged
    with pytest.raises(ImplementationFailed, match="changed its input x"):
        shared_worker.call(x)


def test_spoilt_weights_are_the_kernels_own_copy(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    before = layer.w1.clone()
    shared_worker.load(forward_kernel(tmp_path, "layer.w1.zero_()\nout.fill_(float(layer.w1.sum()))"))
    shared_worker.prepare(layer)
    shared_worker.call(x)
    assert torch.equal(layer.w1, before)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("raise ValueError('no such expert\\nand more')", "ValueError: no such expert"),
        ("sys.exit(4)", "SystemExit: 4"),
        ("pass", "wrote nothing: out holds what it held before"),
        (
            "out.fill_(1.0)\nreturn out, None",
            "a returned tuple must be (y, ids, weights) or with a loss after them; got 2",
        ),
        ("return out.fill_(1.0), None, None, torch.ones(2)", "the loss must have shape []; got [2]"),
        ("return torch.zeros(3, 8)", "the output must have shape [16, 8]; got [3, 8]"),
        ("return torch.zeros(1 << 12, 1 << 12)", "the output must have shape [16, 8]; got [4096, 4096]"),
        ("return x.double()", "the output must be torch.float32; got torch.float64"),
        ("return x.to('meta')", "the output must be on cpu; got meta"),
        ("return 'done'", "the output must be a plain torch.Tensor; got builtins.str"),
        (
            "return x, torch.zeros(16, 3, dtype=torch.int64), x[:, :2]",
            "the expert ids must have shape [16, 2]; got [16, 3]",
        ),
        ("return x, x[:, :2], x[:, :2]", "the expert ids must be integers; got torch.float32"),
        (
            "ctypes.memset(out.data_ptr(), 0, out.nbytes + 64)",
            "wrote outside out: a guard around it changed",
        ),
        ("torch.empty(1 << 33, dtype=torch.uint8)", "memory limit of 1 GiB (RuntimeError: "),
        ("bytearray(1 << 33)", "memory limit of 1 GiB (MemoryError: kernel.py, line 8)"),
    ],
)
def test_a_failing_forward_is_named_and_its_worker_lives(  # noqa: PLR0913, PLR0917 -- fixtures
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor, body: str, cause: str
) -> None:
    failed = failure(shared_worker, forward_kernel(tmp_path, body), layer, x)
    assert failed.stage == "forward"
    assert failed.cause.startswith(cause)
    assert not isinstance(failed, WorkerEnded)
    shared_worker.load(kernel(tmp_path, HONEST))


@pytest.mark.parametrize(
    ("source", "stage", "cause"),
    [
        ("import no_such_module", "import", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def prepare(", "import", "SyntaxError: "),
        ("def build(layer): pass", "import", "kernel.py must define prepare(layer); it defines build"),
        ("def prepare(layer): raise KeyError('w9')", "prepare", "KeyError: 'w9'"),
        ("def prepare(layer): return 3", "prepare", "prepare must return a callable forward; got int"),
        ("def prepare(layer): return lambda x, y, z: None", "prepare", "forward must take (x) or (x, out)"),
        ("import validation", "import", "ModuleNotFoundError: No module named 'validation'"),
        ("from reference import oracle", "import", "ModuleNotFoundError: No module named 'reference'"),
    ],
)
def test_a_kernel_that_cannot_be_loaded_or_prepared_is_named(  # noqa: PLR0913, PLR0917 -- fixtures
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor, source: str, stage: str, cause: str
) -> None:
    failed = failure(shared_worker, kernel(tmp_path, source), layer, x)
    assert failed.stage == stage
    assert failed.cause.startswith(cause)


def test_what_a_kernel_prints_is_kept_for_the_message(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    body = "print('x' * 500000)\nprint('last words', flush=True)\nraise ValueError"
    failed = failure(shared_worker, forward_kernel(tmp_path, body), layer, x)
    assert failed.cause == "ValueError: kernel.py, line 10"
    assert failed.output.endswith("last words")


# How a worker ends.


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("os._exit(3)", "exited with code 3"),
        ("ctypes.string_at(0)", "killed by signal SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal SIGKILL"),
        ("os.abort()", "killed by signal SIGABRT"),
        ("os.closerange(3, 1000)", "exited with code 1"),
        (
            """
            for fd in range(3, 200):
                try:
                    socket.socket(fileno=os.dup(fd)).send(b'{"calls_ns": [1]}')
                except OSError:
                    pass
            """,
            "wrote into the result channel",
        ),
        ("if os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\nos._exit(0)", "exited with code 0"),
    ],
)
def test_a_worker_that_dies_is_named_and_leaves_nothing(
    tmp_path: Path, layer: Layer, x: torch.Tensor, body: str, cause: str
) -> None:
    assert death(forward_kernel(tmp_path, body), layer, x).cause.startswith(cause)


def test_a_kernel_that_hangs_is_ended_at_its_limit(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    limits = Limits(seconds=8, memory_bytes=1 << 30)
    ended = death(forward_kernel(tmp_path, "time.sleep(1000)"), layer, x, limits)
    assert ended.cause == "time limit of 8 s"


def test_a_descendant_in_another_session_does_not_outlive_the_worker(
    tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    body = "if os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\nout.copy_(x)"
    with Worker(threads=1, limits=LIMITS) as worker:
        mark = worker._spawned.mark
        worker.load(forward_kernel(tmp_path, body))
        worker.prepare(layer)
        worker.call(x)
        assert len(kinship.descendants(mark)) == 2
    assert kinship.descendants(mark) == ()


def test_a_killed_parent_takes_its_worker_along() -> None:
    program = """
import textwrap
import time
from validation.implementations.process import Worker
worker = Worker(threads=1)
worker.start()
print(worker.pid, flush=True)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path.cwd()) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert _is_gone(pid)


def test_no_descriptor_is_left_when_a_worker_is_closed(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    before = _descriptors()
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, HONEST))
        worker.prepare(layer)
        worker.call(x)
    assert _descriptors() <= before


# What a worker is told and reports.


def test_doings_of_a_candidate_are_reported_with_their_stage(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    oracle = Path(spawn.__file__).parents[2] / "reference" / "oracle.py"
    body = f"open({str(oracle)!r}).close()\nout.copy_(x)"
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(forward_kernel(tmp_path, body))
        worker.prepare(layer)
        worker.call(x)
        doings = worker.doings
    assert [(doing.event, doing.argument, doing.stage) for doing in doings] == [("open", str(oracle), "forward")]


#: Each leaves everything as it was: what would not is refused, because there is no such file or it is there already.
_OURS: Final = Path(spawn.__file__).parents[2]
_TOUCHES: Final = {
    "os.open": f"os.close(os.open({torch.__file__!r}, os.O_RDWR))",
    "open": f"open({torch.__file__!r}, 'r+').close()",
    "FileIO": f"io.FileIO(pathlib.Path({torch.__file__!r}), 'r+').close()",
    "bytes": f"open({os.fsencode(torch.__file__)!r}, 'ab').close()",
    "a link to it": f"os.symlink({torch.__file__!r}, 'link'); open('link', 'r+').close()",
    "a reference": f"open({str(_OURS / 'reference' / 'oracle.py')!r}, 'r+').close()",
    "a kernel": f"os.utime({str(_OURS / 'kernels' / 'none')!r})",
    "the standard library": f"os.rename({os.__file__ + '-none'!r}, 'mine')",
    "what a baseline compiled": f"os.rename({inherited.compiled_into()[0] + '/none'!r}, 'mine')",
    "torch.compile's": f"os.rename({inherited.compiled_into()[1] + '/none'!r}, 'mine')",
    "moved there": f"os.rename('none', {os.__file__ + '-none'!r})",
    "a second name": f"os.link({os.__file__ + '-none'!r}, 'mine')",
    "a package": f"os.rmdir({str(Path(torch.__file__).parent / 'none')!r})",
    "cut off": f"os.truncate({torch.__file__ + '-none'!r}, 0)",
    "the system's": "open('/etc/ld.so.preload-none', 'r+')",
    "by a folder": f"os.remove('none', dir_fd=os.open({str(Path(torch.__file__).parent)!r}, os.O_RDONLY))",
    "by its folder": f"os.chdir({str(Path(torch.__file__).parent)!r}); open('__init__.py', 'r+').close()",
}


@pytest.mark.parametrize("touch", _TOUCHES.values(), ids=_TOUCHES)
def test_what_the_suite_and_its_baselines_are_loaded_from_is_not_written(touch: str, tmp_path: Path) -> None:
    source = f"""
        import contextlib, io, os, pathlib
        os.chdir({str(tmp_path)!r})
        with contextlib.suppress(OSError):
            {touch}
        def prepare(layer): pass
    """
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, source))
        assert {doing.event for doing in worker.doings} <= {"open", hook.WRITTEN, *hook.CHANGES}
        assert worker.doings


#: Each opens the oracle: by a path of a class whose methods name another file, and while what follows links, or what
#: writes a report, is another.
_UNHEARD: Final = {
    "a path of its own": "open(Elsewhere(ORACLE)).close()",
    "another realpath": """
        true, posixpath._joinrealpath = posixpath._joinrealpath, lambda *a, **k: ("/dev/null", True)
        open(ORACLE).close()
        posixpath._joinrealpath = true
    """,
    "other builtins": """
        true, builtins.isinstance = builtins.isinstance, lambda *a: False
        os.close(os.open(ORACLE, os.O_RDONLY))
        builtins.isinstance = true
    """,
    "another system": """
        true, os.lstat, stat.S_ISLNK = (os.lstat, stat.S_ISLNK), None, None
        os.symlink(ORACLE, "link")
        os.close(os.open("link", os.O_RDONLY))
        os.lstat, stat.S_ISLNK = true
    """,
    "a hook that fails": """
        try: sys.audit("open")
        except IndexError as error: error.__traceback__.tb_next.tb_frame.f_locals["said_of"].clear()
        open(ORACLE).close()
    """,
    "an object": """
        true, os.PathLike.__subclasshook__ = os.PathLike.__subclasshook__, classmethod(lambda *a: False)
        class Other:
            def __fspath__(self): return ORACLE
        io.FileIO(Other()).close()
    """,
    "another json": """
        true, json.dumps, json._default_encoder = (json.dumps, json._default_encoder), None, None
        open(ORACLE).close()
        json.dumps, json._default_encoder = true
    """,
}


@pytest.mark.parametrize("reading", _UNHEARD.values(), ids=_UNHEARD)
def test_nothing_that_a_kernel_can_replace_hears_for_the_suite(reading: str, tmp_path: Path) -> None:
    source = (
        "import builtins, io, json, os, posixpath, stat, sys\n"
        f"ORACLE = {str(_OURS / 'reference' / 'oracle.py')!r}\n"
        "class Elsewhere(str):\n"
        "    def startswith(self, *_): return False\n"
        "    def partition(self, at): return '/dev/null'.partition(at)\n"
        "    def __getitem__(self, at): return '/dev/null'[at]\n"
        f"os.chdir({str(tmp_path)!r})\n{textwrap.dedent(reading)}\ndef prepare(layer): pass\n"
    )
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, source))
        assert {doing.event for doing in worker.doings} == {"open"}
        assert worker.doings[-1].argument.endswith(("reference/oracle.py", "an object alone can tell"))


def test_a_hook_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    taking = (FOLDER / "takes_out_the_hook.py").read_text().replace("from honest_layer import forward_of", "")
    # Its reports led elsewhere, and back.
    led = """
import os
numbers = [n for n in range(64) if os.path.exists(f"/proc/self/fd/{n}")]
links = {n: os.readlink(f"/proc/self/fd/{n}") for n in numbers}
pipes = {n: os.dup(n) for n, link in links.items() if "pipe" in link}
none = os.open("/dev/null", os.O_WRONLY)
for n in pipes:
    os.dup2(none, n)
sys.setprofile(None)
for n, kept in pipes.items():
    os.dup2(kept, n)
"""
    for source, state in (
        (taking, "there"),
        (taking + "\ntake_out()\n", "taken out"),
        (taking + led, "taken out"),
    ):
        with Worker(threads=1, limits=LIMITS) as worker:
            assert worker.state()["audit hook"] == "there"
            worker.load(kernel(tmp_path, source))
            assert worker.state()["audit hook"] == state
            # What was asked for is no doing of the candidate's.
            assert not any(doing.event == hook.STILL_THERE for doing in worker.doings)


def test_helpers_that_burn_a_core_are_the_kernels_own(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    source = """
        import subprocess, sys, time
        BURN = "import os\\np = os.getppid()\\nwhile os.getppid() == p: pass"
        def prepare(layer):
            subprocess.Popen([sys.executable, "-c", BURN])
            def forward(x, out):
                time.sleep(0.3)
                out.fill_(1.0)
            return forward
    """
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, source))
        worker.prepare(layer)
        made = [worker.call_block([x]) for _ in range(4)]
    assert max(block.cpu_ns for block in made) > 100_000_000


def test_a_result_is_taken_by_no_methods_of_its_own(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    source = """
        import torch
        class Lazy(tuple):
            def __len__(self): raise RuntimeError("asked")
            def __getitem__(self, at): raise RuntimeError("asked")
        def prepare(layer):
            k = layer.config.top_k
            return lambda x: Lazy((x * 2, torch.zeros(len(x), k, dtype=torch.int64), torch.ones(len(x), k)))
    """
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, source))
        worker.prepare(layer)
        assert torch.equal(worker.call(x).out, x * 2)


def test_where_torch_keeps_what_it_compiled_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inherited.compiled_into()[1] == cache_dir_utils.default_cache_dir()

    def nobody() -> str:
        raise KeyError("no name, as in a container that knows only a number")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert inherited.compiled_into()[1] == cache_dir_utils.default_cache_dir()


def test_files_of_its_own_a_candidate_may_write(tmp_path: Path) -> None:
    source = f"""
        import os, pathlib, sys, tempfile
        open({str(tmp_path / "cache")!r}, "w").close()
        os.rename({str(tmp_path / "cache")!r}, {str(tmp_path / "kept")!r})
        os.mkdir({str(tmp_path / "__pycache__")!r})
        open("/dev/null", "w").close()
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "kernels" / "deep").mkdir(parents=True)
            (pathlib.Path(folder) / "kernels" / "file").write_text("")
        with open({torch.__file__!r}):
            assert sys.dont_write_bytecode
        def prepare(layer): pass
    """
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, source))
        assert worker.doings == ()


def test_a_package_installed_beside_torch_may_write_in_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("validation.implementations.process.loaded_from", lambda: [str(tmp_path)])
    folder = tmp_path / "mine"
    folder.mkdir()
    source = "import pathlib\n{}.write_text('')\ndef prepare(layer): pass"
    for place, reported in ((folder / "cache", 0), (tmp_path / "other", 1)):
        (folder / "__init__.py").write_text(source.format(f"pathlib.Path({str(place)!r})"))
        with Worker(threads=1, limits=LIMITS) as worker:
            worker.load(parse_kernel(str(folder / "__init__.py")))
            assert len(worker.doings) == reported


def test_a_trusted_implementation_may_import_its_siblings(tmp_path: Path) -> None:
    with Worker(threads=1, trusted=True, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, "import reference.oracle\ndef prepare(layer): pass", trusted=True))


def test_threads_and_settings_reach_the_worker(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    body = "assert os.environ['MY_LIBRARY'] == 'here'\nout.fill_(float(torch.get_num_threads()))"
    with Worker(threads=1, environment=[("MY_LIBRARY", "here")], limits=LIMITS) as worker:
        worker.load(forward_kernel(tmp_path, body))
        worker.prepare(layer)
        assert bool((worker.call(x).out == 1.0).all())


def test_variables_that_tune_a_library_are_dropped() -> None:
    base = {"OPENBLAS_CORETYPE": "Haswell", "OMP_PROC_BIND": "true", "HOME": "/root"}
    environment = inherited.worker_environment(2, base=base)
    assert inherited.dropped_variables(base) == ("OMP_PROC_BIND", "OPENBLAS_CORETYPE")
    assert environment["HOME"] == "/root"
    assert environment["OMP_NUM_THREADS"] == "2"
    # What idle threads would spin for, 200 ms of LLVM's OpenMP and 100 of OpenBLAS, is the same for all.
    spins = inherited.worker_environment(2, base={"KMP_BLOCKTIME": "infinite", "OPENBLAS_THREAD_TIMEOUT": "28"})
    assert (spins["KMP_BLOCKTIME"], spins["OPENBLAS_THREAD_TIMEOUT"]) == ("2", "22")
    assert not {"OPENBLAS_CORETYPE", "OMP_PROC_BIND"} & set(environment)


def _is_gone(pid: int) -> bool:
    for _attempt in range(200):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return True
        time.sleep(0.05)
    return False


def _descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


#: Reads the first mapping of the process that started the fork server, as native code can without Python's knowledge.
_PEEKING = """
import ctypes, os

def prepare(layer):
    status = open(f"/proc/{os.getppid()}/status").read()
    judge = int(status.split("PPid:")[1].split()[0])

    class Piece(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    def tried():
        kept = ctypes.create_string_buffer(64)
        here = Piece(ctypes.addressof(kept), 64)
        there = Piece(PLACE, 64)
        libc = ctypes.CDLL(None, use_errno=True)
        ctypes.set_errno(0)
        libc.process_vm_readv(judge, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        read = ctypes.get_errno()
        try:
            with open(f"/proc/{judge}/mem", "rb", buffering=0) as memory:
                memory.seek(PLACE)
                memory.read(64)
            return read, 0
        except OSError as error:
            return read, error.errno

    def forward(x, out):
        out.zero_()
        out[0, 0], out[0, 1] = tried()

    return forward
"""


def test_a_worker_cannot_look_into_the_memory_that_holds_the_answers(
    tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    answers = torch.ones(64)
    peeking = kernel(tmp_path, _PEEKING.replace("PLACE", str(answers.data_ptr())), "peeking", trusted=True)
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(peeking)
        worker.prepare(layer)
        found = worker.call(x).out[0, :2].tolist()
    assert found == [errno.EPERM, errno.EACCES]


def test_of_two_threads_that_start_the_first_workers_both_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a process that has started none yet.
    monkeypatch.setattr(spawn, "_furnished", cache(spawn._furnished.__wrapped__))
    began = Barrier(4)

    def started(threads: int) -> str:
        began.wait()
        with Worker(threads=threads, limits=LIMITS) as worker:
            worker.start()
            return spawn.room().mark

    with ThreadPoolExecutor(4) as pool:
        marks = list(pool.map(started, (1, 1, 1, 1)))
    assert len(set(marks)) == 1


def test_a_worker_cannot_put_itself_before_others(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    body = """
    out.zero_()
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except PermissionError:
        out[0, 0] = 1
    """
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(forward_kernel(tmp_path, body))
        worker.prepare(layer)
        assert worker.call(x).out[0, 0] == 1


def test_a_block_lies_between_the_question_and_the_answer(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, HONEST))
        worker.prepare(layer)
        made = worker.call_block([x, x])
        assert made.in_time
        assert sum(made.calls_ns) < made.ends_ns[-1] < made.parent_ns


def test_the_cpu_time_of_a_block_is_that_of_all_threads_of_its_worker(
    tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    body = """
    import threading, time
    def busy():
        while time.thread_time() < 0.03:
            pass
    threads = [threading.Thread(target=busy) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    out.copy_(x)
    """
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(forward_kernel(tmp_path, body))
        worker.prepare(layer)
        assert worker.call_block([x]).cpu_ns > 60_000_000


def test_work_that_is_done_while_calls_are_told_of_comes_too_late(
    tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    """The clock of the parent has stopped by then; so its copy of the outputs is made before."""
    body = """
    frame = sys._getframe()
    while "block" not in frame.f_locals:
        frame = frame.f_back
    block = type(frame.f_locals["block"])
    told = block.told
    block.told = lambda one: (out.fill_(3.0), told(one))[1]
    """
    with Worker(threads=1, limits=LIMITS) as worker:
        assert "wrote nothing" in failure(worker, forward_kernel(tmp_path, body), layer, x).cause


def test_inputs_are_not_to_be_had_while_calls_are_laid_out(x: torch.Tensor) -> None:
    places, end, staged = arena.plan([x], [(16, 8)], 2, x.dtype)
    memory = BlockMemory()
    memory.make_room(end, staged)
    laid = memory.lay([x], places, end)
    assert memory.staging is not None
    assert not memory.staging.bytes(0, staged).any()
    memory.stage(laid)
    assert bytes(memory.staging.bytes(0, x.nbytes)) == x.numpy().tobytes()
    memory.close()


@pytest.mark.parametrize(
    "answer", ["{}", '{"calls_ns": 1}', '{"calls_ns": ["x"], "hosts_ns": [1], "told": [0], "seen": [[[], []]]}']
)
def test_an_answer_in_no_workers_words_is_the_kernels(
    tmp_path: Path, layer: Layer, x: torch.Tensor, answer: str
) -> None:
    """A kernel that finds the harness's frame can tell of its calls in its place."""
    body = f"""
    frame = sys._getframe()
    while "block" not in frame.f_locals:
        frame = frame.f_back
    import json
    type(frame.f_locals["block"]).told = lambda block: json.loads({answer!r})
    """
    with Worker(threads=1, limits=LIMITS) as worker:
        assert "no worker's words" in failure(worker, forward_kernel(tmp_path, body), layer, x).cause
