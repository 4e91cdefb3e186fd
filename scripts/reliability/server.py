#!/usr/bin/env python3
"""A server that speaks as vLLM does, computes with `opd score`, and is not to be trusted.

It grades given ids, and samples: what it draws depends on the prompt and the seed alone, and its log-probabilities are
those of the weights that it was brought. So two runs with it are equal bit for bit, whatever befalls them. Every
completion may be answered wrongly, at most twice for each question (once, where a server is probed before its work);
FOLDER remembers how often, and which flaws there were, when the server is killed.
usage: server.py OPD MODEL FOLDER PORT [--flaws RATE] [--seed S] [--context TOKENS]
"""

import argparse
import collections
import contextlib
import hashlib
import http.server
import json
import os
import random
import subprocess
import threading
import time

# Of one question. A client gives a server up that answers wrongly four times, what it is probed with included.
MOST_FLAWS = 2
# Seconds.
LONGEST_READING = 0.3
# A response ends at each token with this chance.
STOP_CHANCE = 0.08


def die(reason):
    """Ends the server, as vLLM ends when its engine does."""
    print(f"error: {reason}", flush=True)
    os._exit(1)


class Scorer:
    """The native engine with the weights of a folder, one question at a time."""

    def __init__(self, opd, folder):
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [opd, "score", folder, "--dtype", "f32", "--threads", "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def score(self, ids):
        with self.lock:
            self.process.stdin.write(json.dumps(ids) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        return json.loads(line) if line else die("its model is gone")

    def close(self):
        with self.lock:
            self.process.stdin.close()
            self.process.wait()


class Model:
    """What the server holds, and what it remembers of its flaws."""

    def __init__(self, options):
        self.opd, self.folder, self.flaws = options.opd, options.model, options.flaws
        self.context = options.context
        self.scorer, self.taken = Scorer(self.opd, self.folder), None
        with open(f"{self.folder}/config.json") as file:
            self.vocabulary = json.load(file)["vocab_size"]
        self.lock = threading.Lock()
        self.dice = random.Random(f"{options.seed} {os.getpid()}")
        self.told, self.probe, self.last = collections.Counter(), None, None
        self.record = open(f"{options.folder}/flaws", "a+")  # noqa: SIM115 - open as long as the process lives
        self.record.seek(0)
        self.told.update(line.split()[0] for line in self.record)

    def take(self, folder):
        """Takes other weights; asked again for those it has, it has them: a busy machine may take longer than asked."""
        with self.lock:
            if folder == self.taken:
                return
            # It takes its time, and then reads what is there.
            time.sleep(self.dice.uniform(0, LONGEST_READING))
            if not os.path.exists(f"{folder}/config.json"):
                die(f"{folder} does not exist")
            old, self.scorer, self.taken = self.scorer, Scorer(self.opd, folder), folder
            self.scorer.score([0, 1])
        old.close()

    def tokens(self, text):
        lines = subprocess.run(
            [self.opd, "tokenize", self.folder], input=json.dumps(text), capture_output=True, text=True, check=True
        )
        self.probe = json.loads(lines.stdout)
        return self.probe

    def flaw(self, question, prompt, kinds):
        """What is wrong with the next answer to this question; None: nothing."""
        name = hashlib.sha256(question).hexdigest()[:16]
        is_probe = self.probe is not None and prompt[: len(self.probe)] == self.probe
        with self.lock:
            if self.told[name] >= (1 if is_probe else MOST_FLAWS) or self.dice.random() >= self.flaws:
                return None
            self.told[name] += 1
            kind = self.dice.choice(kinds)
            self.record.write(f"{name} {kind}\n")
            self.record.flush()
            return kind

    def score(self, ids):
        while True:
            scorer = self.scorer
            # It may have been closed meanwhile.
            with contextlib.suppress(ValueError, BrokenPipeError):
                return scorer.score(ids)

    def draw(self, prompt, body):
        """Tokens that a response to this prompt and seed has, whatever the weights."""
        dice = random.Random(json.dumps([prompt, body["seed"]]))
        stops, ids = body["stop_token_ids"], []
        while len(ids) < body["max_tokens"]:
            if stops and dice.random() < STOP_CHANCE:
                return [*ids, dice.choice(stops)], "stop"
            ids.append(dice.choice([token for token in range(self.vocabulary) if token not in stops]))
        return ids, "length"

    def complete(self, body):
        """An honest answer."""
        prompt = body["prompt"]
        if "prompt_logprobs" in body:
            values = [
                {str(token): {"logprob": value}} for token, value in zip(prompt[1:], self.score(prompt), strict=True)
            ]
            choice = {"prompt_logprobs": [None, *values], "token_ids": [0], "finish_reason": "length"}
        else:
            ids, reason = self.draw(prompt, body)
            logprobs = self.score(prompt + ids)[len(prompt) - 1 :]
            choice = {"token_ids": ids, "logprobs": {"token_logprobs": logprobs}, "finish_reason": reason}
        return {"choices": [{"prompt_token_ids": prompt, **choice}]}


# Wrong answers: each changes an honest one, whose element is `choice` and whose values are `values`.


def shift(_, values):
    """Every value is the next token's."""
    values[:] = [*values[1:], values[-1]]


def shorten(_, values):
    del values[-1]


def lengthen(_, values):
    values.append(values[-1])


def nothing(_, values):
    values[-1] = None


def not_a_number(_, values):
    spoil(values, float("nan"))


def too_large(_, values):
    spoil(values, 0.5)


def infinite(_, values):
    spoil(values, float("-inf"))


def wrong_id(choice, values):
    if "prompt_logprobs" in choice:
        values[-1] = {str(int(next(iter(values[-1]))) ^ 1): next(iter(values[-1].values()))}
    else:
        choice["token_ids"][0] = -1


def zeros(choice, values):
    """Old servers with a cache of prompts answer so, and with nulls."""
    if "prompt_logprobs" in choice:
        values[1:] = [{key: {"logprob": 0.0} for key in entry} for entry in values[1:]]
    else:
        values[:] = [None] * len(values)


def missing(choice, _):
    choice.pop("prompt_logprobs", None)
    choice.pop("logprobs", None)


def spoil(values, number):
    if isinstance(values[-1], dict):
        values[-1] = {key: {"logprob": number} for key in values[-1]}
    else:
        values[-1] = number


CHANGES = {
    change.__name__: change
    for change in (shift, shorten, lengthen, nothing, not_a_number, too_large, infinite, wrong_id, zeros, missing)
}
# Wrong in another way: text that is no JSON, of another question, or too long; no answer; late, half or twice.
OTHERS = ["cut", "page", "another", "long", "error", "closed", "half", "slow", "hang", "twice"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = None

    def log_message(self, *_):
        pass

    def answer(self, status, body, times=1):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        with contextlib.suppress(OSError):
            self.wfile.write((head.encode() + text) * times)

    def do_GET(self):
        known = {
            "/health": b"",
            "/v1/models": {"data": [{"id": "model", "parent": None, "max_model_len": self.model.context}]},
        }
        self.answer(200 if self.path in known else 404, known.get(self.path, {"detail": "Not Found"}))

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body, path = json.loads(data), self.path.split("?")[0]
        if path == "/v1/completions":
            self.complete(data, body)
        elif path == "/tokenize":
            self.answer(200, {"tokens": self.model.tokens(body["prompt"])})
        elif path == "/collective_rpc":
            self.model.take(body["kwargs"]["weights_path"])
            self.answer(200, {"results": [None]})
        elif path in ("/pause", "/resume", "/reset_prefix_cache"):
            self.answer(200, b"")
        else:
            self.answer(404, {"detail": "Not Found"})

    def complete(self, data, body):
        honest = self.model.complete(body)
        text, is_graded = json.dumps(honest).encode(), "prompt_logprobs" in body
        # The values of drawn tokens may be any below 0.
        kinds = [kind for kind in [*CHANGES, *OTHERS] if is_graded or kind != "shift"]
        kind = self.model.flaw(data, body["prompt"], kinds)
        (prompt, last), self.model.last = self.model.last or (None, text), (body["prompt"], text)
        # An answer to the same prompt, drawn with another seed, is as good as this one.
        if kind is None or (kind == "another" and prompt in (None, body["prompt"])):
            self.answer(200, text)
        elif kind in CHANGES:
            choice = honest["choices"][0]
            values = choice["prompt_logprobs"] if "prompt_logprobs" in choice else choice["logprobs"]["token_logprobs"]
            CHANGES[kind](choice, values)
            self.answer(200, honest)
        else:
            self.misbehave(kind, text, last)

    def misbehave(self, kind, text, last):
        self.close_connection = kind in ("closed", "half", "hang")
        if kind == "cut":
            self.answer(200, text[: len(text) // 2])
        elif kind == "page":
            self.answer(200, b"<html><body>Gateway</body></html>")
        elif kind == "another":
            self.answer(200, last)
        elif kind == "long":
            self.answer(200, text + b" " * (8 << 20))
        elif kind == "error":
            self.answer(self.model.dice.choice([500, 502, 503, 429]), b"<html>\x1b[2J busy</html>")
        elif kind == "half":
            with contextlib.suppress(OSError):
                self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text[:100])
        elif kind == "slow":
            time.sleep(self.model.dice.uniform(0.5, 3))
            self.answer(200, text)
        elif kind == "hang":
            # Longer than the run waits for an answer.
            time.sleep(8)
        elif kind == "twice":
            self.answer(200, text, times=2)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients go as they like."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("opd")
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("port", type=int)
    parser.add_argument("--flaws", type=float, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--context", type=int, default=256, help="tokens of the longest sequence")
    options = parser.parse_args()
    Handler.model = Model(options)
    Server(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
