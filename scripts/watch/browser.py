"""A headless Chromium that a script drives, over its debugging pipe: no driver and no package beside it is needed."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """One page. `errors` has what its console and its network complained of."""

    def __init__(self, width=1280, height=900, dark=False):
        program = next((found for name in NAMES if (found := shutil.which(name))), None)
        if program is None:
            raise SystemExit("error: no Chromium; install Debian's package chromium")
        self.errors = []
        self.events = []
        self.number = 0
        self.profile = tempfile.mkdtemp(prefix="opd-browser-")
        # The browser reads commands from descriptor 3 and writes to 4, each ended by a NUL.
        read_end, self.out = os.pipe()
        self.inp, write_end = os.pipe()
        arguments = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        arguments += ["--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank"]
        shell = ["bash", "-c", f'exec "$0" "$@" 3<&{read_end} 4>&{write_end}']
        self.process = subprocess.Popen(
            shell + arguments, pass_fds=(read_end, write_end), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(read_end)
        os.close(write_end)
        self.buffer = b""
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(width, height)
        if dark:
            self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def call(self, method, **parameters):
        """Does one thing and returns its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if hasattr(self, "session"):
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        wanted = self.number
        while True:
            answer = self.read()
            if answer.get("id") == wanted:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def read(self):
        while b"\0" not in self.buffer:
            more = os.read(self.inp, 1 << 20)
            if not more:
                raise RuntimeError("the browser has gone")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        """Keeps what went wrong in the page."""
        method, given = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value")) for one in given["args"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")

    def size(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def open(self, address):
        self.call("Page.navigate", url=address)

    def value(self, expression):
        """What an expression of the page's script is."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", expression))
        return result["result"].get("value")

    def text(self):
        return self.value("document.body.innerText") or ""

    def wait(self, expression, seconds=60):
        """Waits until an expression holds; returns the seconds that it took."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            if self.value(f"Boolean({expression})"):
                return time.monotonic() - start
            time.sleep(0.05)
        raise SystemExit(f"error: not within {seconds} s: {expression}; the page says: {self.text()[:600]!r}")

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        with contextlib.suppress(RuntimeError, OSError):
            self.call("Browser.close")
        self.process.wait(timeout=60)
        shutil.rmtree(self.profile, ignore_errors=True)
