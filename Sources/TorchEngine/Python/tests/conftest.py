"""An engine in a process of its own, or two, and the golden cases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from opd_torch.messages import Message
from safetensors import safe_open
from safetensors.numpy import load_file

PACKAGE = Path(__file__).parents[1]
GOLDEN = PACKAGE.parents[2] / "Tests/Fixtures/golden"
CASES = ["llama-tied", "llama3-rope", "qwen2", "qwen3"]
PATIENCE_MS = 120_000


class EngineAnswerError(Exception):
    """The engine answered that it cannot."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """A learner as far as an engine sees one."""

    def __init__(self, folder: Path, processes: int, arguments: list[str], environment: dict[str, str]) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        endpoint = f"ipc://{folder}/engine"
        self.socket.bind(endpoint)
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *(launcher if processes > 1 else []), "-m", "opd_torch"]
        command += ["--endpoint", endpoint, "--device", "cpu", "--threads", "1"]
        command += ["--learner", str(os.getpid()), *arguments]
        paths = {"PYTHONPATH": f"{PACKAGE}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"), "OMP_NUM_THREADS": "1"}
        self.log = open(folder / "stderr", "w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdout=self.log,
            stderr=self.log,
            env={**os.environ, **paths, **environment},
            start_new_session=True,
        )
        self.number = 0

    def receive(self) -> Message:
        """Waits for a message; the engine's words are in the error when none comes."""
        for _ in range(PATIENCE_MS // 100):
            if self.socket.poll(100):
                answer = Message.reading(self.socket.recv_multipart())
                if answer.verb == "error":
                    raise EngineAnswerError(answer.fields["code"], answer.fields["message"])
                return answer
            if self.process.poll() is not None and not self.socket.poll(500):
                break
        raise RuntimeError(f"no answer: {self.words()[-2000:]}")

    def words(self) -> str:
        """Returns what the engine wrote."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def ask(self, verb: str, fields: dict[str, Any] | None = None, /, **arrays: Any) -> Message:
        """Sends a request and returns its answer."""
        self.number += 1
        request = Message(verb, fields or {}, {key: np.asarray(value) for key, value in arrays.items()}, self.number)
        self.socket.send_multipart(request.frames())
        answer = self.receive()
        assert answer.id == self.number
        return answer

    def close(self) -> None:
        """Ends the engine, whatever it does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.socket.close()
        self.context.term()
        self.log.close()


Start = Callable[..., Client]


@pytest.fixture(scope="session")
def running() -> Iterator[dict[int, Client]]:
    """Engines by their processes that the tests share, each loading what it needs."""
    clients: dict[int, Client] = {}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture
def start(running: dict[int, Client], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Gives engines: shared ones, or with `fresh` one that ends with the test."""
    fresh_ones: list[Client] = []

    def begin(
        processes: int = 1,
        arguments: list[str] | None = None,
        hello: bool = True,
        fresh: bool = False,
        **environment: str,
    ) -> Client:
        is_shared = not fresh
        if is_shared and processes in running and running[processes].process.poll() is None:
            return running[processes]
        client = Client(tmp_path_factory.mktemp("engine"), processes, arguments or [], environment)
        if is_shared:
            running[processes] = client
        else:
            fresh_ones.append(client)
        if hello:
            assert client.receive().fields["processes"] == processes
        return client

    yield begin
    for client in fresh_ones:
        client.close()


LORA = {
    "rank": 4,
    "alpha": 16.0,
    "scale": 4.0,
    "targets": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "fingerprint": "c0ffee0123456789",
}
HEAD = b"OPDLORA1" + bytes(range(56))


def shapes(folder: Path) -> dict[str, list[int]]:
    """Returns the shapes of a model's parameters."""
    with safe_open(folder / "model.safetensors", "np") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def manifest(of: dict[str, list[int]], matrix_type: str = "f32", start: int = 0) -> dict[str, Any]:
    """Returns where parameters lie, each at a multiple of 64 bytes, as a learner says it."""
    tensors, end = [], start
    for name, shape in of.items():
        kind = matrix_type if len(shape) == 2 else "f32"
        tensors.append({"name": name, "shape": shape, "type": kind, "byteOffset": end})
        end += -(-int(np.prod(shape)) * (4 if kind == "f32" else 2) // 64) * 64
    return {"tensors": tensors, "byteCount": end}


def adapter_manifest(of: dict[str, list[int]], lora: dict[str, Any]) -> dict[str, Any]:
    """Returns where adapters lie, behind their head."""
    found: dict[str, list[int]] = {}
    for name, shape in of.items():
        stem = name.removesuffix(".weight")
        if stem.rpartition(".")[2] in lora["targets"] and name.endswith(".weight"):
            found |= {
                f"{stem}.lora_A.weight": [lora["rank"], shape[1]],
                f"{stem}.lora_B.weight": [shape[0], lora["rank"]],
            }
    return manifest(found, start=64)


def write_snapshot(path: Path, given: dict[str, Any], values: dict[str, np.ndarray], head: bytes = b"") -> None:
    """Writes a snapshot of f32 values."""
    memory = bytearray(given["byteCount"])
    memory[: len(head)] = head
    for tensor in given["tensors"]:
        content = values[tensor["name"]].astype(np.float32).tobytes()
        memory[tensor["byteOffset"] : tensor["byteOffset"] + len(content)] = content
    path.write_bytes(memory)


def first_adapters(given: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns values that adapters begin with: A at random, B zero."""
    random = np.random.default_rng(7)
    return {
        tensor["name"]: random.uniform(-1, 1, tensor["shape"]) / np.sqrt(tensor["shape"][1])
        if ".lora_A." in tensor["name"]
        else np.zeros(tensor["shape"])
        for tensor in given["tensors"]
    }


def load(client: Client, case: str | Path, **fields: Any) -> dict[str, Any]:
    """Loads a golden case, or any folder, to be trained in f32 unless `fields` say otherwise; returns the manifest."""
    folder = GOLDEN / case
    settings = {
        "use": "train",
        "dtype": "f32",
        "attention": "auto",
        "recompute": False,
        "compile": False,
        "slots": 4,
        "cache": 0.5,
        **fields,
    }
    try:
        of = shapes(folder)
    except Exception:
        of = shapes(GOLDEN / "qwen2")
    lora = settings.get("adapters")
    if "manifest" not in settings:
        settings["manifest"] = adapter_manifest(of, lora) if lora else manifest(of, settings["dtype"])
    with tempfile.NamedTemporaryFile() as file:
        if lora:
            write_snapshot(Path(file.name), settings["manifest"], first_adapters(settings["manifest"]), HEAD)
            settings["adapters"] = {**lora, "values": file.name}
        client.ask("load", {"model": str(folder), **settings})
    return settings["manifest"]


class Golden:
    """A golden case as requests."""

    def __init__(self, case: str, ranks: int = 1, rank_counts: list[int] | None = None) -> None:
        self.arrays = load_file(GOLDEN / case / "golden.safetensors")
        self.counts = self.arrays["lengths"]
        self.prompts = self.arrays["prompt_lengths"]
        self.ids = self.arrays["input_ids"]
        self.rank_counts = rank_counts or ([3] if ranks == 1 else [2, 1])
        self.mask = self.arrays["mask"] > 0

    def request(self, rows: list[int] | None = None, temperature: float = 1) -> dict[str, Any]:
        """Returns the arrays of a forward pass of some rows, all on rank 0 unless it is of all rows."""
        chosen = rows if rows is not None else [0, 1, 2]
        ranks = self.rank_counts if rows is None else [len(rows)] + [0] * (len(self.rank_counts) - 1)
        return {
            "tokens": np.concatenate([self.ids[row, : self.counts[row]] for row in chosen]),
            "counts": self.counts[chosen],
            "prompt_counts": self.prompts[chosen],
            "temperatures": np.full(len(chosen), temperature, np.float32),
            "rank_counts": np.array(ranks, np.int32),
        }

    def of_responses(self, name: str) -> np.ndarray:
        """Returns an array's values at response tokens, row by row."""
        return self.arrays[name][self.mask]

    def gradient(self, logprobs: np.ndarray) -> np.ndarray:
        """Returns dL/ds of the importance-sampling loss of the case."""
        ratio = np.exp(logprobs - self.of_responses("sampled_logprobs"))
        return (-ratio * self.of_responses("advantages") / self.mask.sum()).astype(np.float32)

    def loss(self, logprobs: np.ndarray) -> float:
        """Returns the loss of the case."""
        ratio = np.exp(logprobs - self.of_responses("sampled_logprobs"))
        return float(-(ratio * self.of_responses("advantages")).sum() / self.mask.sum())


ADAMW = {
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.95,
    "epsilon": 1e-8,
    "weight_decay": 0.1,
    "clip_grad_norm": 1.0,
}


def train(client: Client, golden: Golden, **settings: Any) -> tuple[np.ndarray, Message]:
    """Takes one step as the golden case does; returns the log-probabilities before it and what the step says."""
    logprobs = client.ask("forward", **golden.request()).arrays["logprobs"]
    client.ask("backward", gradient=golden.gradient(logprobs))
    return logprobs, client.ask("step", {**ADAMW, **settings})


def snapshot(client: Client, manifest: dict[str, Any], path: Path) -> dict[str, np.ndarray]:
    """Has the weights written and reads them by their places."""
    path.write_bytes(bytes(manifest["byteCount"]))
    client.ask("snapshot", {"path": str(path)})
    memory = path.read_bytes()
    weights = {}
    for tensor in manifest["tensors"]:
        count = int(np.prod(tensor["shape"]))
        if tensor["type"] == "f32":
            values = np.frombuffer(memory, np.float32, count, tensor["byteOffset"])
        else:
            halves = np.frombuffer(memory, np.uint16, count, tensor["byteOffset"])
            values = (halves.astype(np.uint32) << 16).view(np.float32)
        weights[tensor["name"]] = values.reshape(tensor["shape"])
    return weights
