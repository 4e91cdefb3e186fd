"""One rank: `python -m opd_torch --endpoint ipc:///...`, alone or under torchrun."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import metadata

OLDEST = {"torch": (2, 11), "transformers": (5, 0), "peft": (0, 18), "safetensors": (0, 5), "pyzmq": (25, 0)}
INSTALL = "install them with pip install torch transformers peft safetensors pyzmq numpy"


def missing() -> str | None:
    """Says in one line which package is missing or too old; nothing when all are there."""
    for name, oldest in OLDEST.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            return f"{name} is missing in {sys.executable}; {INSTALL}, or set torch.python"
        numbers = tuple(int(part) for part in found.split("+")[0].split(".")[:2] if part.isdecimal())
        if numbers < oldest:
            wanted = ".".join(str(number) for number in oldest)
            return f"{name} {found} in {sys.executable} is too old; {wanted} or newer is needed: {INSTALL}"
    return None


def main() -> int:
    """Serves until the learner stops it; 3 when it cannot start, 1 when it breaks."""
    parser = argparse.ArgumentParser(prog="opd_torch", description="one rank of opd's torch engine")
    parser.add_argument("--endpoint", required=True, help="where the learner listens")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=0, help="compute threads of a rank on the CPU; 0: torch's own")
    parser.add_argument("--learner", type=int, default=0, help="the process to end with; 0: none")
    arguments = parser.parse_args()
    flaw = missing()
    if not arguments.endpoint.startswith("ipc://"):
        flaw = (
            f"--endpoint {arguments.endpoint}: ipc:// alone, on the learner's machine, for the connection has no keys"
        )
    if flaw is not None:
        print(f"opd_torch: {flaw}", file=sys.stderr, flush=True)
        return 3
    # Nothing is fetched: models are folders.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return run(arguments)


def run(arguments: argparse.Namespace) -> int:
    """Serves, with all packages at hand."""
    import torch
    import torch.distributed as dist
    import transformers

    from opd_torch import PROTOCOL_VERSION
    from opd_torch.engine import Engine
    from opd_torch.errors import RefusalError
    from opd_torch.messages import Message
    from opd_torch.ranks import Ranks
    from opd_torch.serving import Channel, FatalError, end_with, refused, say, serve

    transformers.logging.set_verbosity_error()
    if arguments.learner:
        end_with(arguments.learner)
        # Torchrun, where it is another: its ranks are in sessions of their own, and its end does not reach them.
        end_with(os.getppid())
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    channel = Channel(arguments.endpoint if os.environ.get("RANK", "0") == "0" else None)
    try:
        engine = Engine(Ranks(arguments.device))
        hello = {
            "version": PROTOCOL_VERSION,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "device": torch.cuda.get_device_name() if engine.ranks.kind == "cuda" else "cpu",
            "processes": engine.ranks.count,
        }
        channel.send(Message("hello", hello))
        serve(engine, channel)
    except RefusalError as refusal:
        say(str(refusal))
        channel.send(refused(refusal))
        channel.close()
        return 3
    except FatalError:
        # A tidy end would wait for ranks that wait for this one.
        os._exit(1)
    channel.close()
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
