"""A bad network between two network namespaces: a process passes packets on, and delays, drops, paces, reorders them.

The kernel's netem does the same, where a kernel has it; this needs TUN devices alone, and so runs in containers and on
kernels without it. Some 100 Mbit/s is what it can carry.
"""

import contextlib
import fcntl
import heapq
import mmap
import os
import random
import select
import struct
import subprocess
import time
from dataclasses import dataclass

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
# Packets that wait for their turn; later ones are dropped, as a router does whose queue is full.
LONGEST_QUEUE_S = 0.2


@dataclass(frozen=True)
class Conditions:
    """What the network does to packets, in each direction."""

    delay_ms: float = 0  # of a way, half of a round trip
    jitter: float = 0.1  # of the delay, at most; it reorders by itself no packets
    loss: float = 0  # share of the packets
    reordered: float = 0  # share of the packets that overtake what waits
    mbits: float = 100
    mtu: int = 1500
    outward_only: bool = False  # no connection is let in to the second side, as behind a NAT

    def __str__(self):
        parts = [f"{2 * self.delay_ms:g} ms", f"{100 * self.loss:g}% loss", f"{self.mbits:g} Mbit/s", f"MTU {self.mtu}"]
        return ", ".join(parts + ([f"{100 * self.reordered:g}% reordered"] if self.reordered else []))


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def opens_connection(packet):
    """Whether it is the first packet of a TCP connection: SYN without ACK."""
    if packet[0] >> 4 == 6:
        protocol, header = packet[6], 40
    else:
        protocol, header = packet[9], 4 * (packet[0] & 15)
    return protocol == 6 and len(packet) > header + 13 and packet[header + 13] & 0x12 == 0x02


class Way:
    """One direction: what waits, and when it is due."""

    def __init__(self, source, target, conditions, dice, refuses_connections):
        self.source, self.target, self.conditions, self.dice = source, target, conditions, dice
        self.refuses_connections = refuses_connections
        self.waiting, self.number, self.free, self.latest = [], 0, 0.0, 0.0
        self.bytes = 0

    def take(self, now):
        """Takes all packets that are there."""
        while True:
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            self.pass_on(packet, now)

    def pass_on(self, packet, now):
        conditions = self.conditions
        self.bytes += len(packet)
        if self.refuses_connections and opens_connection(packet):
            return
        self.free = max(self.free, now)
        if self.free - now > LONGEST_QUEUE_S or self.dice.random() < conditions.loss:
            return
        self.free += len(packet) * 8 / (conditions.mbits * 1e6)
        if conditions.reordered and self.dice.random() < conditions.reordered:
            due = now
        else:
            delay = conditions.delay_ms / 1000 * (1 + conditions.jitter * self.dice.random())
            due = self.latest = max(self.latest, self.free + delay)
        self.number += 1
        heapq.heappush(self.waiting, (due, self.number, packet))

    def deliver(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            packet = heapq.heappop(self.waiting)[2]
            # A device that is down for a moment loses what it is sent.
            with contextlib.suppress(OSError):
                os.write(self.target, packet)


class Network:
    """Two namespaces, NAME-a and NAME-b, and the process of the link between them. Use it in a with statement."""

    def __init__(self, name, conditions, seed=1, family=4):
        self.name, self.conditions, self.seed = name, conditions, seed
        self.addresses = ["10.217.0.1", "10.217.0.2"] if family == 4 else ["fd00:217::1", "fd00:217::2"]
        self.prefix = 24 if family == 4 else 64
        self.sides = [f"{name}-a", f"{name}-b"]
        self.counts = mmap.mmap(-1, 16)

    def __enter__(self):
        try:
            return self.open()
        except BaseException:
            self.close()
            raise

    def open(self):
        devices = []
        for side, address in zip(self.sides, self.addresses, strict=True):
            ip("netns", "add", side)
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", side.encode()[:15], IFF_TUN | IFF_NO_PI))
            devices.append(device)
            ip("link", "set", side, "netns", side)
            ip("-n", side, "link", "set", "lo", "up")
            ip("-n", side, "link", "set", side, "mtu", str(self.conditions.mtu), "txqueuelen", "1000")
            self.add(side, address)
            ip("-n", side, "link", "set", side, "up")
        self.pid = os.fork()
        if self.pid == 0:
            # Nothing of what the parent's ends of with statements do is this process's.
            try:
                carry(devices, self.conditions, self.seed, self.counts)
            finally:
                os._exit(1)
        for device in devices:
            os.close(device)
        return self

    def add(self, side, address):
        # Duplicate address detection would keep an IPv6 address from use for a second.
        ip("-n", side, "addr", "add", f"{address}/{self.prefix}", "dev", side, *(["nodad"] if ":" in address else []))

    def readdress(self):
        """Gives the second side another address; what was connected from the old one is cut off."""
        ip("-n", self.sides[1], "addr", "del", f"{self.addresses[1]}/{self.prefix}", "dev", self.sides[1])
        self.addresses[1] = self.addresses[1][:-1] + str(int(self.addresses[1][-1]) + 1)
        self.add(self.sides[1], self.addresses[1])

    def carried(self):
        """Bytes from the first side to the second, and back, headers and repetitions too."""
        return struct.unpack("=qq", self.counts[:16])

    def command(self, side, *command):
        return ["ip", "netns", "exec", self.sides[side], *command]

    def close(self):
        pid = getattr(self, "pid", 0)
        if pid:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        for side in self.sides:
            subprocess.run(["ip", "netns", "del", side], stderr=subprocess.DEVNULL, check=False)

    def __exit__(self, *_):
        self.close()


def carry(devices, conditions, seed, counts):
    first, second = devices
    ways = [
        Way(first, second, conditions, random.Random(f"{seed} out"), conditions.outward_only),
        Way(second, first, conditions, random.Random(f"{seed} in"), False),
    ]
    poll = select.poll()
    for way in ways:
        poll.register(way.source, select.POLLIN)
    while True:
        now = time.monotonic()
        due = min((way.waiting[0][0] for way in ways if way.waiting), default=now + 1)
        # Waits shorter than the timer's step are spun through.
        poll.poll(max(0, (due - now) * 1000 - 0.1))
        for way in ways:
            now = time.monotonic()
            way.take(now)
            way.deliver(now)
        counts[:16] = struct.pack("=qq", *(way.bytes for way in ways))
