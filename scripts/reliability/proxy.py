"""A TCP proxy whose connections can be cut, slowed and silenced."""

import contextlib
import re
import socket
import threading
import time


def message(field):
    """A message of the learner's whose header begins with this field of the protocol, as it is on the wire."""
    tag = bytes([field << 3 & 0x7F | 0x80 | 2, field >> 4])
    return re.compile(rb"\x01\x04OPD\x02(?:[\x00\x01].|[\x02\x03].{8})" + re.escape(tag), re.DOTALL)


MESSAGES = {"acknowledgement": message(37), "broadcast": message(48)}


class Proxy:
    def __init__(self, port):
        """Listens on a free port of loopback and passes everything to `port`."""
        self.target = port
        self.pause_until = 0.0  # nothing passes, nothing is said
        self.slow_until = 0.0  # little passes
        self.seen = dict.fromkeys(MESSAGES, 0)  # by kind, in plain text
        self.pairs = set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                inner, _ = self.listener.accept()
            except OSError:
                return
            try:
                outer = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                outer.settimeout(None)
            except OSError:
                inner.close()
                continue
            pair = (inner, outer)
            with self.lock:
                self.pairs.add(pair)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self.pump, args=(source, sink, pair), daemon=True).start()

    def pump(self, source, sink, pair):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                while time.monotonic() < self.pause_until:
                    time.sleep(0.02)
                while time.monotonic() < self.slow_until and data:
                    sink.sendall(data[:1024])
                    data = data[1024:]
                    time.sleep(0.02)
                sink.sendall(data)
                if source is pair[1]:
                    for kind, pattern in MESSAGES.items():
                        self.seen[kind] += len(pattern.findall(data))
        except OSError:
            pass
        self.drop(pair)

    def drop(self, pair):
        with self.lock:
            self.pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self):
        """Breaks every connection; new ones are taken."""
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            self.drop(pair)

    def close(self):
        self.listener.close()
        self.cut()
