"""What a worker does on a GPU, with a stand-in whose clock and memory the tests hold."""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from typing import Final

import pytest
import torch

from validation.implementations.arena import POISON
from validation.implementations.clock import Price
from validation.implementations.worker.device import Cuda, Host, tensor_in

_SIZE: Final = 1 << 16
_X: Final = {"offset": 4096, "bytes": 64, "shape": [4, 8], "dtype": "bfloat16"}


@dataclass
class _Gpu:
    """A GPU that finishes what was put on the current stream at once, and side streams when it is waited for."""

    stream_ms: float = 0.0
    side_s: float = 0.0

    def event(self, *, enable_timing: bool) -> object:
        del enable_timing
        gpu = self

        class Event:
            def record(self) -> None:
                self.at = gpu.stream_ms

            def elapsed_time(self, end: Event) -> float:
                return end.at - self.at

        return Event()

    def spin(self, cycles: int) -> None:
        self.stream_ms += cycles / 2e6

    def synchronize(self) -> None:
        time.sleep(self.side_s)
        self.side_s = 0.0


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> _Gpu:
    gpu = _Gpu()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "Event", gpu.event)
    monkeypatch.setattr(torch.cuda, "synchronize", gpu.synchronize)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (60, 100))
    monkeypatch.setattr(torch.cuda, "_sleep", gpu.spin)
    return gpu


@pytest.fixture
def device(gpu: _Gpu) -> Cuda:
    del gpu
    return Cuda("cpu")


def test_without_a_gpu_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="CUDA GPU is needed"):
        Cuda()


def test_poison_and_guards_go_to_the_device_before_a_block_and_come_back_after_it(device: Cuda) -> None:
    memory = mmap.mmap(-1, _SIZE)
    words = torch.frombuffer(memory, dtype=torch.uint16)
    words.fill_(POISON)
    device.map(memory)
    device.begin(_SIZE)
    tensor = device.tensor(_X)
    assert bool(tensor.isnan().all())
    tensor.fill_(1.0)
    device.finish(_SIZE)
    changed = (words != POISON).nonzero().flatten() * 2
    assert (int(changed[0]), int(changed[-1]) + 2) == (4096, 4096 + 64)


def test_a_write_into_a_guard_on_the_device_is_seen_by_the_parent(device: Cuda) -> None:
    memory = mmap.mmap(-1, _SIZE)
    words = torch.frombuffer(memory, dtype=torch.uint16)
    words.fill_(POISON)
    device.map(memory)
    device.begin(_SIZE)
    device.tensor(_X | {"shape": [5, 8], "bytes": 80}).fill_(1.0)
    device.finish(_SIZE)
    assert int(words[(4096 + 64) // 2]) != POISON


@pytest.mark.parametrize("size", [_SIZE, _SIZE + 1])
def test_words_are_those_of_the_device(device: Cuda, size: int) -> None:
    memory = mmap.mmap(-1, size)
    memory[4096:4100] = b"\x01\xff\x02\x03"
    host = Host()
    for one in (device, host):
        one.map(memory)
    device.begin(size)
    assert device.words([2049, 2048, 2048]) == host.words([2049, 2048, 2048]) == [0x0302, 0xFF01, 0xFF01]
    memory[4096:4100] = bytes(4)
    assert device.words([2048]) == [0xFF01]
    assert device.words([]) == host.words([]) == []
    assert host.words([2048]) == [0]


def test_an_input_reaches_the_device_only_when_it_is_revealed(device: Cuda) -> None:
    memory = mmap.mmap(-1, _SIZE)
    device.map(memory)
    device.begin(_SIZE)
    torch.frombuffer(memory, dtype=torch.bfloat16, count=32, offset=4096).fill_(3.0)
    assert float(device.tensor(_X).sum()) == 0
    device.revealed(_X)
    assert float(device.tensor(_X).sum()) == 96


def test_an_output_is_poisoned_anew_after_a_capture(device: Cuda) -> None:
    memory = mmap.mmap(-1, _SIZE)
    torch.frombuffer(memory, dtype=torch.uint16).fill_(POISON)
    device.map(memory)
    device.begin(_SIZE)
    device.tensor(_X).fill_(1.0)
    device.poison(_X)
    assert bool(device.tensor(_X).isnan().all())


def test_a_call_is_timed_by_events_and_by_the_host(device: Cuda, gpu: _Gpu) -> None:
    def call() -> str:
        gpu.stream_ms += 0.25
        return "result"

    result, call_ns, host_ns = device.time(call)
    assert (result, call_ns) == ("result", 250_000)
    assert host_ns >= 0


def test_work_left_on_another_stream_opens_a_gap_between_the_clocks(device: Cuda, gpu: _Gpu) -> None:
    def call() -> None:
        gpu.stream_ms += 0.002
        gpu.side_s = 0.003

    _result, call_ns, host_ns = device.time(call)
    price = Price(block_ns=0, call_ns=0, gap_ns=10_000)
    assert host_ns - call_ns > 1_000_000
    assert not price.agrees((call_ns,), host_ns, (host_ns,))


def test_the_memory_a_layer_takes_is_what_the_gpu_says_is_used(device: Cuda) -> None:
    assert device.used_bytes() == 40


def test_a_strided_tensor_lies_where_its_strides_say() -> None:
    memory = torch.arange(256, dtype=torch.uint8)
    where = {"offset": 8, "shape": [2, 2], "dtype": "uint8", "strides": [10, 3]}
    assert tensor_in(memory, where).tolist() == [[8, 11], [18, 21]]


def test_a_queued_call_finds_the_gpu_at_work_and_is_not_charged_for_it(device: Cuda, gpu: _Gpu) -> None:
    def call() -> None:
        gpu.stream_ms += 0.25

    _result, call_ns, _host_ns = device.time(call, queued=True)
    assert call_ns == 250_000
    assert gpu.stream_ms > 0.25
