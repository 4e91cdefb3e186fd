"""The processes of a run, as a supervisor that means harm has them."""

import collections
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from proxy import Proxy

IS_ROOT = os.geteuid() == 0


def works(*command):
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return run.returncode == 0


# A time namespace has a monotonic clock of its own; another host name makes a worker fetch its weights in chunks
# instead of from shared memory.
HAS_CLOCKS = IS_ROOT and works("unshare", "-T", "--monotonic", "1000", "--boottime", "1000", "--fork", "true")
HAS_HOSTS = IS_ROOT and works("unshare", "-u", "true")


COMPILER = shutil.which("cc") or shutil.which("clang")


class WallClocks:
    """A wall clock for every process, which can be set while it runs; see wallclock.c."""

    def __init__(self, folder):
        self.folder = f"{folder}/clocks"
        os.makedirs(self.folder)
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wallclock.c")
        self.library = f"{self.folder}/wallclock.so"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)

    def environment(self, name):
        if not os.path.exists(f"{self.folder}/{name}"):
            with open(f"{self.folder}/{name}", "wb") as file:
                file.write(struct.pack("=q", 0))
        return {"LD_PRELOAD": self.library, "WALLCLOCK_FILE": f"{self.folder}/{name}"}

    def set(self, name, seconds):
        """Moves the clock of a process to so far from the machine's."""
        with open(f"{self.folder}/{name}", "r+b") as file:
            file.write(struct.pack("=q", seconds))


class Child:
    """A process of the run, and what was done to it."""

    def __init__(self, name, arguments, folder, clock=0, host=None, environment=None):
        self.name, self.stopped, self.expected = name, False, False
        command = arguments
        if host and HAS_HOSTS:
            command = ["unshare", "-u", "sh", "-c", 'hostname "$0"; exec "$@"', host, *command]
        if clock and HAS_CLOCKS:
            command = ["unshare", "-T", "--monotonic", str(clock), "--boottime", str(clock), *command]
        os.makedirs(f"{folder}/out", exist_ok=True)
        self.log = f"{folder}/out/{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "SWIFT_BACKTRACE": "enable=no", **(environment or {})},
            )
        self.pid = self.process.pid

    def send(self, number):
        """A signal; whatever comes of it is no surprise."""
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.expected = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self.stopped = (self.stopped or number == signal.SIGSTOP) and number != signal.SIGCONT

    def ended(self):
        return self.process.poll() is not None

    def wait(self, seconds=60):
        return self.process.wait(seconds)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server that grades or samples beside a run; see server.py. Its address stays the same."""

    def __init__(self, opd, folder, model, flaws, seed):
        """flaws: how many of its answers are wrong, 0 to 1."""
        self.folder, port = folder, free_port()
        self.url = f"http://127.0.0.1:{port}"
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py")
        words = [opd, f"{folder}/{model}", folder, str(port), "--flaws", str(flaws), "--seed", str(seed)]
        self.command, self.child = [sys.executable, script, *words], None

    def start(self):
        self.child = Child("server", self.command, self.folder)

    def end(self):
        self.child.send(signal.SIGKILL)
        self.child.wait()

    def flaws(self):
        """Wrong answers so far, by kind."""
        with open(f"{self.folder}/flaws") as file:
            return collections.Counter(line.split()[1] for line in file)


class Pipeline:
    """A learner, and members that reach it through a proxy each, and a relay where there is one."""

    def __init__(
        self,
        opd,
        folder,
        dice=None,
        moves_clocks=False,
        samples_teacher=False,
        server=None,
        has_relay=False,
        has_standby=False,
    ):
        """samples_teacher: whether workers hold the teacher, and nobody grades (off_policy); server: beside the run;
        has_relay: members reach the learner through a relay, or by themselves while there is none; has_standby: another
        learner watches the learner, and members know both."""
        self.has_standby, self.standby, self.leavers = has_standby, None, []
        self.server = server
        self.has_relay, self.relay, self.relay_port = has_relay, None, free_port()
        self.relay_due = 0.0
        self.opd, self.folder, self.port = opd, folder, free_port()
        # Learners take turns at them.
        self.standby_port = free_port()
        self.first_port, self.second_port = self.port, self.standby_port
        self.roles = ["rollout"] if samples_teacher else ["rollout", "scorer"]
        self.teacher = ["--teacher", "default"] if samples_teacher else []
        self.wall_clocks = WallClocks(folder) if moves_clocks and COMPILER else None
        self.dice = dice or random.Random(0)
        self.learner, self.members, self.proxies, self.count = None, {}, {}, {"rollout": 0, "scorer": 0}
        self.learner_lives = 0
        self.surprises = []

    def start_learner(self, clock=0):
        self.learner_lives += 1
        arguments = [self.opd, "learner", "run.yaml", "--bind", f"tcp://127.0.0.1:{self.port}", "--resume"]
        self.learner = self.child("learner", arguments, clock)

    def start_standby(self):
        self.learner_lives += 1
        arguments = [self.opd, "learner", "run.yaml", "--bind", f"tcp://127.0.0.1:{self.standby_port}", "--standby"]
        self.standby = self.child(f"learner-{self.learner_lives}", arguments)

    def wait_for_terms(self):
        """Until there is a learner to watch."""
        while not os.path.exists(f"{self.folder}/runs/tiny/config.yaml"):
            if self.learner.ended():
                raise SystemExit(f"error: the learner ended: {tail(self.learner.log)}")
            time.sleep(0.02)

    def is_watched(self):
        """Whether the standby watches the learner, and the learner has the run."""
        if self.leavers or self.learner.ended() or self.learner.stopped:
            return False
        with open(self.standby.log, errors="replace") as file:
            return "standby: watching" in file.read()

    def has_taken_over(self):
        with open(self.standby.log, errors="replace") as file:
            return "took the run over" in file.read()

    def promote(self):
        """The standby is the learner now, and another watches it. The one before is to end by itself, if it lives."""
        if not self.learner.ended():
            self.leavers.append(self.learner)
        self.learner = self.standby
        self.port, self.standby_port = self.standby_port, self.port
        self.start_standby()

    def tend_standby(self):
        if self.learner.ended() and self.learner.process.returncode == 0:
            # Whatever was on its way to it came too late.
            self.learner.expected = False
        elif self.standby.ended():
            if not self.standby.expected and self.standby.process.returncode != 0:
                self.surprises.append(f"the standby ended by itself: {tail(self.standby.log)}")
            if self.standby.process.returncode != 0:
                self.start_standby()
        elif self.has_taken_over():
            self.promote()
        for child in [child for child in self.leavers if child.ended()]:
            self.leavers.remove(child)
            if child.process.returncode != 1 or "taken the run over" not in tail(child.log):
                self.surprises.append(f"a learner that was replaced ended with {tail(child.log)}")

    def start_relay(self):
        arguments = [self.opd, "relay", "run.yaml", "--bind", f"tcp://127.0.0.1:{self.relay_port}"]
        self.relay = self.child("relay", [*arguments, "--connect", f"tcp://127.0.0.1:{self.port}"])

    def child(self, name, arguments, clock=0, host=None):
        environment = self.wall_clocks.environment(name) if self.wall_clocks else None
        return Child(name, arguments, self.folder, clock, host, environment)

    def start(self, role, name=None, clock=0):
        if name is None:
            name = f"{role}-{self.count[role]}"
            self.count[role] += 1
            self.proxies[name] = Proxy(self.relay_port if self.has_relay else self.first_port)
        near, learners = f"tcp://127.0.0.1:{self.proxies[name].port}", [f"tcp://127.0.0.1:{self.port}"]
        if self.has_standby:
            learners = [near, f"tcp://127.0.0.1:{self.second_port}"]
        elif not self.has_relay:
            learners = [near]
        ways = [*(["--relay", near] if self.has_relay else []), "--connect", ",".join(learners)]
        arguments = [self.opd, role, "run.yaml", *ways, "--name", name]
        arguments += self.teacher
        # Every other worker lives on a machine of its own.
        host = name if role == "rollout" and int(name.split("-")[1]) % 2 else None
        self.members[name] = self.child(name, arguments, clock, host)
        return name

    def remove(self, name):
        self.members.pop(name)
        self.proxies.pop(name).close()

    def of(self, role):
        return [name for name in self.members if name.startswith(role)]

    def seen(self, kind):
        """Messages of a kind that have passed to any member."""
        return sum(proxy.seen[kind] for proxy in self.proxies.values())

    def steps(self):
        """Completed steps, as metrics.jsonl has them."""
        return self.metrics()[-1]["step"] if self.metrics() else 0

    def metrics(self):
        lines = []
        try:
            with open(f"{self.folder}/runs/tiny/metrics.jsonl") as file:
                # One by one: those before a line that is being written count.
                for line in file:
                    lines.append(json.loads(line))  # noqa: PERF401
        except (FileNotFoundError, json.JSONDecodeError):
            pass
        return lines

    def tend(self):
        """Starts again what has died; notes what nobody killed."""
        if self.server and self.server.child.ended() and not self.server.child.expected:
            self.surprises.append(f"the server ended by itself: {tail(self.server.child.log)}")
            self.server.start()
        if self.relay and self.relay.ended() and time.monotonic() >= self.relay_due:
            # It ends with the run, also with one that is stopped for a while.
            if not self.relay.expected and self.relay.process.returncode != 0:
                self.surprises.append(f"the relay ended with {self.relay.process.returncode}: {tail(self.relay.log)}")
            self.start_relay()
        if self.has_standby:
            self.tend_standby()
        for name, child in list(self.members.items()):
            if child.ended():
                if not child.expected and child.process.returncode != 0:
                    self.surprises.append(f"{name} ended with {child.process.returncode}: {tail(child.log)}")
                self.start(name.split("-")[0], name)

    def end(self):
        others = [child for child in (self.relay, self.learner, self.standby, *self.leavers) if child]
        for child in list(self.members.values()) + others:
            child.send(signal.SIGKILL)
            child.send(signal.SIGCONT)
            child.wait()
        if self.server:
            self.server.end()
        for proxy in self.proxies.values():
            proxy.close()


def tail(path, lines=3):
    with open(path, errors="replace") as file:
        return " | ".join(line.strip() for line in file.readlines()[-lines:])


class Disk:
    """The run folder on a small file system, where the machine allows it."""

    def __init__(self, folder, megabytes=48):
        self.folder, self.filler = folder, f"{folder}/filler"
        os.makedirs(folder, exist_ok=True)
        size = f"size={megabytes}m"
        self.mounted = IS_ROOT and works("mount", "-t", "tmpfs", "-o", size, "tmpfs", folder)

    def fill(self):
        with open(self.filler, "wb") as file:
            left = shutil.disk_usage(self.folder).free
            while left > 0:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, left)
                    left = shutil.disk_usage(self.folder).free
                except OSError:
                    left //= 2

    def free(self):
        if os.path.exists(self.filler):
            os.remove(self.filler)

    def unmount(self):
        if self.mounted:
            for _ in range(50):
                if works("umount", self.folder):
                    return
                time.sleep(0.1)
