"""Requests that are none, and processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PACKAGE, Client, EngineAnswerError, Golden, Start, load, train
from opd_torch.errors import RefusalError
from opd_torch.messages import MAGIC, Message


def test_messages_come_back_as_they_went() -> None:
    message = Message("forward", {"a": 1.5, "b": None}, {"x": np.arange(3, dtype=np.int32)}, 9)
    back = Message.reading(message.frames())
    assert (back.verb, back.fields, back.id) == ("forward", {"a": 1.5, "b": None}, 9)
    assert back.array("x", "i32").tolist() == [0, 1, 2]
    with pytest.raises(RefusalError, match="needs an array x of f32"):
        back.array("x", "f32")


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [MAGIC],
        [b"OPE\x63", b"{}"],
        [MAGIC, b"{"],
        [MAGIC, b"[" * 100_000],
        [MAGIC, b"[]"],
        [MAGIC, b'{"verb": 3}'],
        [MAGIC, b'{"verb": "x", "arrays": 7}'],
        [MAGIC, b'{"verb": "x", "arrays": [["a", "i32", 1]]}'],
        [MAGIC, b'{"verb": "x", "arrays": [["a", "i32", 2]]}', b"1234"],
        [MAGIC, b'{"verb": "x", "arrays": [["a", "f64", 1]]}', b"12345678"],
        [MAGIC, b'{"verb": "x", "arrays": [[7, "i32", 1]]}', b"1234"],
        [MAGIC, b'{"verb": "x", "id": "y"}'],
        [MAGIC, b'{"verb": "x"}', *[b""] * 9],
        [MAGIC, b"\xff\xfe"],
    ],
)
def test_frames_that_are_no_message_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(RefusalError):
        Message.reading(frames)


def test_bad_requests_are_answered_and_change_nothing(start: Start) -> None:
    client = start()
    golden = Golden("qwen2")
    load(client, "qwen2")
    good = golden.request()
    wrong: list[dict[str, Any]] = [
        {**good, "counts": good["counts"][:2]},
        {**good, "prompt_counts": good["counts"]},
        {**good, "prompt_counts": good["counts"] * 0},
        {**good, "tokens": good["tokens"] + 1000},
        {**good, "tokens": -good["tokens"] - 1},
        {**good, "tokens": good["tokens"][:-1]},
        {**good, "rank_counts": np.array([1, 2], np.int32)},
        {**good, "rank_counts": np.array([-3], np.int32)},
        {**good, "temperatures": np.full(3, np.nan, np.float32)},
        {key: value for key, value in good.items() if key != "tokens"},
    ]
    for request in wrong:
        with pytest.raises(EngineAnswerError) as caught:
            client.ask("forward", **request)
        assert caught.value.code == "request"
    for verb, fields in [("nothing", {}), ("backward", {}), ("step", {}), ("snapshot", {}), ("load", {"dtype": "f64"})]:
        with pytest.raises(EngineAnswerError):
            client.ask(verb, fields)
    client.socket.send_multipart([MAGIC, b"{"])
    with pytest.raises(EngineAnswerError, match="not JSON"):
        client.receive()
    logprobs, _ = train(client, golden)
    assert np.abs(logprobs - golden.of_responses("logprobs")).max() < 2e-5
    client.ask("forward", **good)
    for verb in ("forward", "step"):
        with pytest.raises(EngineAnswerError, match="waiting for its backward pass"):
            client.ask(verb, _step() if verb == "step" else {}, **(good if verb == "forward" else {}))
    load(client, "qwen2")


def test_a_dead_rank_ends_all_and_is_named(start: Start) -> None:
    client = start(2, fresh=True)
    load(client, "qwen2")
    ranks = _descendants(client.process.pid)
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    assert client.process.wait(60) != 0
    assert not [rank for rank in ranks if _is_alive(rank)]


def test_ranks_die_with_the_launcher(start: Start) -> None:
    client = start(2, fresh=True)
    ranks = _descendants(client.process.pid)
    assert len(ranks) == 2
    client.process.kill()
    deadline = time.monotonic() + 30
    while [rank for rank in ranks if _is_alive(rank)] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [rank for rank in ranks if _is_alive(rank)]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_engine_dies_with_its_learner(start: Start, processes: int) -> None:
    learner = subprocess.Popen(["sleep", "600"])
    client = start(processes, ["--learner", str(learner.pid)], fresh=True)
    ranks = _descendants(client.process.pid) if processes > 1 else [client.process.pid]
    learner.kill()
    learner.wait()
    client.process.wait(60)
    assert not [rank for rank in ranks if _is_alive(rank)]


def test_stop_ends_it(start: Start) -> None:
    for processes in (1, 2):
        client = start(processes, fresh=True)
        client.ask("stop")
        assert client.process.wait(60) == 0


def test_out_of_memory_names_the_key(start: Start) -> None:
    # An address space of this size holds the packages, and not the logits of this request.
    client = start(fresh=True)
    golden = Golden("qwen2")
    load(client, "qwen2")
    limit_memory(client, 1 << 28)
    many = {key: np.tile(value, 20_000) for key, value in golden.request().items() if key != "rank_counts"}
    with pytest.raises(
        EngineAnswerError, match=r"rank 0: out of memory in forward; lower training\.token_budget"
    ) as caught:
        client.ask("forward", **many, rank_counts=np.array([60_000], np.int32))
    assert caught.value.code == "memory"
    assert client.process.wait(30) == 1


def test_what_is_missing_is_named_before_anything_starts(start: Start, tmp_path: Path) -> None:
    client = start(arguments=["--device", "cuda"], fresh=True, hello=False, CUDA_VISIBLE_DEVICES="")
    with pytest.raises(EngineAnswerError, match="sees no GPU here"):
        client.receive()
    assert client.process.wait(30) == 3
    # A python without packages: isolated, so that those of this one are not seen.
    code = f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + ['{PACKAGE}']; "
    code += "sys.argv[1:] = ['--endpoint', 'ipc:///nowhere']; import runpy; "
    code += "runpy.run_module('opd_torch', run_name='__main__')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == 3
    assert found.stderr.startswith("opd_torch: torch is missing in ") and found.stderr.count("\n") == 1


def limit_memory(client: Client, more: int) -> None:
    """Lets the engine have so many bytes more than it has."""
    import resource

    pages = int(Path(f"/proc/{client.process.pid}/statm").read_text().split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE") + more
    resource.prlimit(client.process.pid, resource.RLIMIT_AS, (size, size))


def _step() -> dict[str, float]:
    names = ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay", "clip_grad_norm")
    return dict.fromkeys(names, 0.5)


def _descendants(process: int) -> list[int]:
    """Returns the ranks below a launcher, in order of their process ids."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ranks = [int(child) for child in children if b"--endpoint" in Path(f"/proc/{child}/cmdline").read_bytes()]
        if ranks:
            return sorted(ranks)
    return []


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
