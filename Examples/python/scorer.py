#!/usr/bin/env python3
"""A teacher scorer for opd in Python, written from docs/protocol.md alone.

    pip install pyzmq torch transformers
    python scorer.py --connect tcp://127.0.0.1:5555 --teacher default --model path/to/huggingface/folder

With `--constant -1.5` it needs pyzmq only, and grades every token with that number; so it does with `--uniform 32000`,
a teacher of so many tokens that finds all equally probable, and can list any of them.
"""

import argparse
import array
import concurrent.futures
import hashlib
import json
import math
import os
import secrets
import struct
import sys
import time

import zmq
import zmq.auth

PREAMBLE = b"OPD\x02"
TOKEN_IDS, LOGPROBS, TOP_IDS, TOP_LOGPROBS, TAIL_LOGPROBS = 1, 2, 4, 5, 6
HELLO, WELCOME, REJECT, HEARTBEAT, HEARTBEAT_REPLY, GOODBYE, SHUTDOWN = range(16, 23)
LEASE_REQUEST, SCORE_GRANT, SCORES, ACKNOWLEDGE, REVOKE = 32, 35, 36, 37, 38
UNKNOWN_PEER, SCORER = 1, 2


# ---- protobuf, as much of it as the protocol needs ----


class Fixed64(int):
    """A number that goes out as fixed64."""


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(*fields):
    """Encodes (number, value) pairs; a value is an int, Fixed64, float (as double), str, or bytes (a message)."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, Fixed64):
            out += varint(number << 3 | 1) + struct.pack("<Q", value)
        elif isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack("<d", value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return bytes(out)


def decode(data):
    """Decodes a message into {number: [values]}: ints for numbers, bytes for everything else."""
    fields, at = {}, 0

    def read_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = read_varint()
        kind = tag & 7
        if kind == 0:
            value = read_varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or read_varint()
            value = bytes(data[at : at + size])
            if len(value) != size:
                raise ValueError("truncated")
            at += size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def number(fields, key):
    return fields[key][-1] if key in fields else 0


def message(fields, key):
    return decode(fields[key][-1]) if key in fields else {}


def double(fields, key):
    return struct.unpack("<d", fields[key][-1])[0] if key in fields else 0.0


def item_of(fields):
    """(group, sample, kind): what names a piece of work."""
    rollout = message(fields, 1)
    return number(rollout, 1), number(rollout, 2), number(fields, 2)


# ---- the tokenizer's identity ----

SPELLING = {code: f"\\u{code:04x}" for code in [*range(0x20), 0x7F]}
SPELLING |= {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}


def tokenizer_fingerprint(path):  # noqa: PLR0912, PLR0915 - one line for each part of the format
    """The identity of the BPE tokenizer in a tokenizer.json."""
    with open(path, encoding="utf-8") as file:
        tokenizer = json.load(file)
    model, added = tokenizer["model"], tokenizer.get("added_tokens") or []
    digest = hashlib.sha256()

    def line(*parts):
        digest.update(" ".join(str(int(part) if isinstance(part, bool) else part) for part in parts).encode() + b"\n")

    def text(value):
        return f'"{value.translate(SPELLING)}"'

    def parts(key, list_key):
        def flat(value):
            return [step for part in value[list_key] for step in flat(part)] if value["type"] == "Sequence" else [value]

        value = tokenizer.get(key)
        return [] if value is None else flat(value)

    def pattern(part):
        ((kind, value),) = part["pattern"].items()
        return kind.lower(), text(value)

    def metaspace(part):
        default = "never" if part.get("add_prefix_space") is False else "always"
        scheme = part.get("prepend_scheme") or default
        return text(part["replacement"]), scheme, part.get("split") is not False

    line("opd tokenizer 1")
    tokens = {token_id: token for token, token_id in model["vocab"].items()}
    tokens |= {token["id"]: token["content"] for token in added}
    for token_id, token in sorted(tokens.items()):
        line("token", token_id, text(token))
    for index, merge in enumerate(model["merges"]):
        if index == 0 and isinstance(merge, str) and merge.startswith("#version"):
            continue
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        line("merge", text(left), text(right))
    for token in sorted(added, key=lambda token: token["id"]):
        flags = [bool(token.get(key)) for key in ("single_word", "lstrip", "rstrip")]
        line("added", token["id"], *flags, bool(token.get("normalized", not token.get("special"))))
    for part in parts("normalizer", "normalizers"):
        if part["type"] in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
            line("normalizer", part["type"])
        elif part["type"] == "Strip":
            line("normalizer", "Strip", bool(part.get("strip_left", True)), bool(part.get("strip_right", True)))
        elif part["type"] == "Prepend":
            line("normalizer", "Prepend", text(part["prepend"]))
        elif part["type"] == "Replace":
            line("normalizer", "Replace", *pattern(part), text(part["content"]))
        else:
            raise ValueError(f"{path}: normalizer {part['type']} is none that opd has")
    for part in parts("pre_tokenizer", "pretokenizers"):
        if part["type"] == "Split":
            line("split", *pattern(part), part["behavior"], bool(part.get("invert")))
        elif part["type"] == "Digits":
            line("digits", bool(part.get("individual_digits")))
        elif part["type"] == "Punctuation":
            line("punctuation", part.get("behavior") or "Isolated")
        elif part["type"] == "Whitespace":
            line("whitespace")
        elif part["type"] == "WhitespaceSplit":
            line("whitespace_split")
        elif part["type"] == "Metaspace":
            line("metaspace", *metaspace(part))
        elif part["type"] == "ByteLevel":
            line("bytes", bool(part.get("add_prefix_space", True)), bool(part.get("use_regex", True)))
        else:
            raise ValueError(f"{path}: pre-tokenizer {part['type']} is none that opd has")
    line("model", bool(model.get("ignore_merges")), bool(model.get("fuse_unk")), text(model.get("unk_token") or ""))
    if model.get("byte_fallback"):
        line("byte_fallback")
    decoders = parts("decoder", "decoders")
    if [part["type"] for part in decoders] != ["ByteLevel"]:
        for part in decoders:
            if part["type"] in ("ByteLevel", "ByteFallback", "Fuse"):
                line("decoder", part["type"])
            elif part["type"] == "Metaspace":
                line("decoder", "Metaspace", *metaspace(part))
            elif part["type"] == "Replace":
                line("decoder", "Replace", *pattern(part), text(part["content"]))
            elif part["type"] == "Strip":
                line("decoder", "Strip", text(part["content"]), part["start"], part["stop"])
            else:
                raise ValueError(f"{path}: decoder {part['type']} is none that opd has")
        if not decoders:
            line("decoder")
    return digest.hexdigest()


# ---- teachers ----


# The most tokens of which the protocol lets a scorer tell at a position.
MOST_TOP = 1024


class Grade:
    """The log-probability of each response token and, where they were asked for, k listed tokens of each position, in
    ascending order, with the log-probabilities of each and of all others together."""

    def __init__(self, logprobs, top_count=0, ids=(), top_logprobs=(), tails=()):
        self.logprobs, self.top_count = logprobs, top_count
        self.ids, self.top_logprobs, self.tails = ids, top_logprobs, tails


class ConstantTeacher:
    # The longest sequence, the number of ids (0: not known), and the most tokens that it lists.
    context_length = vocabulary_size = max_top = 0

    def __init__(self, value):
        self.value = value

    def grade(self, ids, prompt_count, _top_count, _below):
        return Grade([self.value] * (len(ids) - prompt_count))


class UniformTeacher:
    context_length = 0

    def __init__(self, vocabulary_size):
        self.vocabulary_size = vocabulary_size
        self.max_top = min(MOST_TOP, vocabulary_size - 1)

    def grade(self, ids, prompt_count, top_count, _below):
        count, each = len(ids) - prompt_count, -math.log(self.vocabulary_size)
        if not top_count:
            return Grade([each] * count)
        tail = math.log(self.vocabulary_size - top_count) + each
        listed = list(range(top_count)) * count
        return Grade([each] * count, top_count, listed, [each] * len(listed), [tail] * count)


class TransformersTeacher:
    def __init__(self, path):
        import torch
        from transformers import AutoModelForCausalLM

        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.context_length = getattr(self.model.config, "max_position_embeddings", 0)
        self.vocabulary_size = self.model.config.vocab_size
        self.max_top = min(MOST_TOP, self.vocabulary_size - 1)

    def grade(self, ids, prompt_count, top_count, below):
        torch = self.torch
        with torch.inference_mode():
            sequence = torch.tensor([ids])
            logits = self.model(sequence).logits[0, prompt_count - 1 : -1].float()
            every = logits.log_softmax(-1)
            logprobs = every.gather(-1, sequence[0, prompt_count:, None])[:, 0].tolist()
            if not top_count:
                return Grade(logprobs)
            listed = every[:, :below].topk(top_count).indices.sort(-1).values
            # The others are summed up: what is missing from 1 has no digits where it is small.
            tails = every.scatter(-1, listed, -torch.inf).logsumexp(-1)
            top = every.gather(-1, listed).flatten().tolist()
            return Grade(logprobs, top_count, listed.flatten().tolist(), top, tails.tolist())


# ---- the member ----


class Scorer:
    def __init__(self, options, teacher):
        self.options, self.teacher = options, teacher
        # Empty: nothing checks that the teacher reads the tokens that the student writes.
        self.fingerprint = tokenizer_fingerprint(options.tokenizer) if options.tokenizer else ""
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        if options.key:
            # With keys the learner assigns routing ids.
            self.socket.curve_publickey, self.socket.curve_secretkey = zmq.auth.load_certificate(options.key)
            self.socket.curve_serverkey, _ = zmq.auth.load_certificate(options.learner_key)
        else:
            self.socket.setsockopt(zmq.ROUTING_ID, f"{options.name}-{secrets.randbits(64):x}".encode())
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.socket.connect(options.connect)
        # Grading runs beside this thread, so that heartbeats go on.
        self.worker = concurrent.futures.ThreadPoolExecutor(1)
        self.grading = None
        self.queue = {}  # item: (lease id, what the teacher is asked), to be graded or being graded
        self.unacknowledged = {}  # item: (grade, when it was sent)
        self.joined, self.epoch, self.heartbeat_seconds = False, None, 2.0
        self.tokens = 0
        self.heard = time.monotonic()
        self.next_hello = self.next_heartbeat = 0.0

    def send(self, kind, body, parts=()):
        """Sends a message with array frames, each given as (kind, type code, elements)."""
        frames, arrays = [], []
        for array_kind, code, elements in parts:
            data = array.array(code, elements)
            if sys.byteorder == "big":
                data.byteswap()
            arrays.append((1, encode((1, array_kind), (2, len(data)))))
            frames.append(data.tobytes())
        self.socket.send_multipart([PREAMBLE, encode(*arrays, (kind, body)), *frames])

    def run(self):
        """Works until the learner ends the run; returns the exit status."""
        while True:
            now = time.monotonic()
            if now - self.heard > self.options.patience:
                print(
                    f"error: {self.options.connect} has not answered for {self.options.patience:.0f} s", file=sys.stderr
                )
                return 1
            self.keep_in_touch(now)
            self.grade()
            while self.socket.poll(50 if self.grading is None else 10):
                try:
                    status = self.receive(self.socket.recv_multipart())
                except (ValueError, LookupError) as error:
                    print(f"warning: malformed message dropped: {error!r}", file=sys.stderr)
                    continue
                if status is not None:
                    return status

    def keep_in_touch(self, now):
        if not self.joined:
            if now >= self.next_hello:
                self.next_hello = now + 2
                fields = [(1, SCORER), (2, self.options.name), (5, PREAMBLE[3]), (7, self.fingerprint)]
                fields += [(9, teacher) for teacher in self.options.teacher] + [(10, os.getpid())]
                if self.teacher.context_length or self.teacher.vocabulary_size:
                    description = encode((1, self.teacher.context_length), (2, self.teacher.vocabulary_size))
                    fields.append((11, description))
                fields.append((15, self.teacher.max_top))
                self.send(HELLO, encode(*fields))
            return
        if now >= self.next_heartbeat:
            self.next_heartbeat = now + self.heartbeat_seconds
            leases = b"".join(varint(lease) for lease, _ in self.queue.values())
            state = f"grading {len(self.queue)}" if self.queue else "waiting for work"
            self.send(HEARTBEAT, encode((1, state), (2, leases), (3, self.tokens), (6, Fixed64(self.epoch))))
        late = max(3.0, 2 * self.heartbeat_seconds)
        self.deliver([item for item, (_, sent) in self.unacknowledged.items() if now - sent > late])

    def deliver(self, items):
        if not items:
            return
        scores, grades = [], []
        for item in items:
            grade, _ = self.unacknowledged[item]
            self.unacknowledged[item] = grade, time.monotonic()
            group, sample, kind = item
            name, count = encode((1, group), (2, sample)), len(grade.logprobs)
            scores.append((1, encode((1, name), (2, kind), (3, count), (4, grade.top_count))))
            grades.append(grade)
        arrays = [(LOGPROBS, "f", [value for grade in grades for value in grade.logprobs])]
        if any(grade.top_count for grade in grades):
            arrays += [
                (TOP_IDS, "i", [value for grade in grades for value in grade.ids]),
                (TOP_LOGPROBS, "f", [value for grade in grades for value in grade.top_logprobs]),
                (TAIL_LOGPROBS, "f", [value for grade in grades for value in grade.tails]),
            ]
        self.send(SCORES, encode(*scores, (2, Fixed64(self.epoch))), arrays)

    def grade(self):
        if self.grading is not None and self.grading[1].done():
            item, future = self.grading
            self.grading = None
            grade = future.result()
            # A task that was revoked meanwhile is not in the queue any more.
            if self.queue.pop(item, None) is not None:
                self.tokens += len(grade.logprobs)
                self.unacknowledged[item] = grade, 0.0
                self.deliver([item])
        if self.grading is None and self.queue:
            item, (_, question) = next(iter(self.queue.items()))
            self.grading = item, self.worker.submit(self.teacher.grade, *question)

    def receive(self, frames):
        if len(frames) < 2 or frames[0] != PREAMBLE:
            return None
        self.heard = time.monotonic()
        envelope = decode(frames[1])
        arrays = {}
        for description, frame in zip(envelope.get(1, []), frames[2:], strict=False):
            arrays[number(decode(description), 1)] = frame
        kind = next((key for key in envelope if key >= 16), None)
        body = message(envelope, kind)
        if kind == WELCOME:
            self.join(body)
        elif kind == REJECT:
            if number(body, 1) != UNKNOWN_PEER:
                print(f"error: the learner refused: {body.get(2, [b''])[-1].decode()}", file=sys.stderr)
                return 1
            self.joined = False
        elif kind == HEARTBEAT_REPLY:
            if self.joined and struct.unpack("<Q", body[1][-1])[0] != self.epoch:
                self.joined, self.next_hello = False, 0.0
        elif kind == SCORE_GRANT:
            self.accept(body, arrays.get(TOKEN_IDS, b""))
        elif kind == ACKNOWLEDGE:
            for item in body.get(1, []):
                self.unacknowledged.pop(item_of(decode(item)), None)
        elif kind == REVOKE:
            for item in body.get(1, []):
                self.queue.pop(item_of(decode(item)), None)
        elif kind == SHUTDOWN:
            return 0
        return None

    def join(self, welcome):
        epoch = struct.unpack("<Q", welcome[2][-1])[0]
        self.queue = {}
        if epoch != self.epoch:
            self.unacknowledged = {}
        self.joined, self.epoch, self.next_heartbeat = True, epoch, 0.0
        self.heartbeat_seconds = min(max(double(welcome, 3), 0.01), 3600)
        self.send(LEASE_REQUEST, encode((1, self.options.slots), (2, Fixed64(epoch))))
        self.deliver(list(self.unacknowledged))

    def accept(self, grant, data):
        if not self.joined:
            return
        ids = array.array("i", data)
        if sys.byteorder == "big":
            ids.byteswap()
        at = 0
        for task in map(decode, grant.get(1, [])):
            item, count = item_of(task), number(task, 5)
            sequence, at = ids[at : at + count].tolist(), at + count
            if item not in self.unacknowledged:
                question = sequence, number(task, 6), number(task, 7), number(task, 9)
                self.queue[item] = number(task, 4), question

    def leave(self, reason):
        self.send(GOODBYE, encode((1, reason)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connect", required=True, metavar="ENDPOINT", help="the learner, tcp://ADDRESS:PORT")
    parser.add_argument(
        "--teacher", action="append", metavar="NAME", help="name in the configuration's `teachers` (default)"
    )
    parser.add_argument("--name", default=f"python-scorer-{os.getpid()}", help="unique among the processes of the run")
    parser.add_argument("--slots", type=int, default=32, help="sequences to hold at once")
    parser.add_argument(
        "--patience", type=float, default=60, metavar="SECONDS", help="how long to wait for the learner"
    )
    parser.add_argument(
        "--tokenizer", metavar="FILE", help="tokenizer.json (that of --model); without one you vouch for the tokenizer"
    )
    parser.add_argument("--key", metavar="FILE", help="secret key of this scorer, made by 'opd keygen'")
    parser.add_argument("--learner-key", metavar="FILE", help="public key of the learner")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="FOLDER", help="Hugging Face model folder")
    source.add_argument(
        "--uniform", type=int, metavar="TOKENS", help="grade as one who finds so many tokens equally probable"
    )
    source.add_argument("--constant", type=float, metavar="NATS", help="grade every token with this number")
    options = parser.parse_args()
    if bool(options.key) != bool(options.learner_key):
        parser.error("--key and --learner-key go together")
    options.teacher = options.teacher or ["default"]
    if options.tokenizer is None and options.model is not None:
        options.tokenizer = os.path.join(options.model, "tokenizer.json")
    if options.model is not None:
        teacher = TransformersTeacher(options.model)
    elif options.uniform is not None:
        teacher = UniformTeacher(options.uniform)
    else:
        teacher = ConstantTeacher(options.constant)
    scorer = Scorer(options, teacher)
    try:
        return scorer.run()
    except BaseException as error:
        scorer.leave("interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__)
        raise


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
