"""A vLLM server on this machine's CPUs, to be started, killed and started again."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time

# Of the start on two slow cores, beside other work.
PATIENCE = 420
# What keeps it from the network, on loopback, and on these cores. Development mode is what takes new weights.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "0-1",
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class VLLM:
    """One server; `url` stays the same however often it is started."""

    def __init__(self, python, model, log, *options):
        self.port, self.log, self.process = free_port(), log, None
        self.url = f"http://127.0.0.1:{self.port}"
        # Seeds with chunked prefill kill this version's CPU engine, and so would large prompts without a bound.
        self.command = [
            *[python, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--served-model-name", "model"],
            *["--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32", "--enforce-eager"],
            *["--no-enable-chunked-prefill", "--block-size", "32", "--max-model-len", "512"],
            *["--max-num-batched-tokens", "2048", "--max-num-seqs", "32", *options],
        ]

    def start(self, wait=True):
        self.process = subprocess.Popen(
            self.command,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        if wait:
            self.wait()

    def wait(self):
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            if self.process.poll() is not None:
                raise SystemExit(f"error: vLLM ended with {self.process.returncode}; see {self.log.name}")
            try:
                if self.request("GET", "/health")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(1)
        raise SystemExit(f"error: vLLM did not answer within {PATIENCE} s; see {self.log.name}")

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def signal(self, number):
        """Sends a signal to the server and the engines it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self):
        """Ends the server and the engines it has started, without a word."""
        if self.process is None:
            return
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
