"""A TCP proxy whose connections can be cut, slowed and silenced."""

import socket
import threading
import time


class Proxy:
    def __init__(self, port):
        """Listens on a free port of loopback and passes everything to `port`."""
        self.target = port
        self.pause_until = 0.0  # nothing passes, nothing is said
        self.slow_until = 0.0  # little passes
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
        except OSError:
            pass
        self.drop(pair)

    def drop(self, pair):
        with self.lock:
            self.pairs.discard(pair)
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
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
