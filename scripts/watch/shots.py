#!/usr/bin/env python3
"""Drives the live page with a headless Chromium: its numbers are those of the run's files, nothing is complained of.

shots.py OPD RUN [FOLDER]: pictures for docs/ go into FOLDER where one is given.
"""

import json
import pathlib
import re
import subprocess
import sys
import time

from browser import Browser

VIEWS = ("overview", "tokens", "stages", "compare")


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def expected(run):
    """Texts that the overview has to show, from the files and from `opd inspect`, which is what people compare with."""
    lines = records(run / "metrics.jsonl")
    last = lines[-1]
    texts = [f"{last[f'tokens_{name}']:,} {name}" for name in ("generated", "trained", "discarded")]
    evaluations = [line for line in lines if "eval_teacher_kl" in line]
    if evaluations:
        texts.append(f"{evaluations[-1]['eval_teacher_kl']:.4f}")
    return texts


def inspected(opd, run):
    text = subprocess.run([opd, "inspect", str(run)], capture_output=True, text=True, check=True).stdout
    return [line.split(":", 1)[1].strip() for line in text.splitlines() if ":" in line]


def start(opd, runs):
    """A watcher of its own port, and its address."""
    process = subprocess.Popen([opd, "watch", "--port", "0", *map(str, runs)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def check(browser, address, opd, run):
    browser.open(address)
    browser.wait("document.querySelectorAll('.chart').length > 4")
    # A run that goes on may have done a step between the one reading and the other.
    for _ in range(100):
        wanted = expected(run) + [value for value in inspected(opd, run) if value]
        text = browser.text()
        missing = [one for one in wanted if one not in text and one.replace("-", "\u2212") not in text]
        # What is on its own line in the table of the run may be broken by the browser.
        flat = re.sub(r"\s+", "", text)
        missing = [one for one in missing if re.sub(r"\s+", "", one) not in flat]
        if not missing:
            break
        time.sleep(0.3)
    return missing


def unpainted(browser, run):
    """Colours of tokens that a run has and that paint none of its responses of training, or that it has not."""
    box = "document.querySelector('.controls select')"
    browser.value("tokens.kind = 'train'")
    names = browser.value(f"[...{box}.options].map((one) => one.value)")
    members = {member for line in records(run / "samples.jsonl") for member in line}
    colours = {"entropy": "entropies", "ratio": "ratios", "advantage": "advantages"}
    wrong = [name for name in colours if (colours[name] in members) != (name in names)]
    flaws = [f"{name}: a colour that the file does not have, or none that it has" for name in wrong]
    for name in names:
        change = f"{box}.value = '{name}'; {box}.dispatchEvent(new Event('change'))"
        browser.value(f"(() => {{ {change} }})()")
        painted = "[...document.querySelectorAll('.response i')].some((one) => one.style.background !== '')"
        # Ratios are 1 and weights new wherever nothing is stale.
        if name not in ("ratio", "age") and not browser.value(painted):
            flaws.append(f"no token is coloured by {name}")
        detail = "document.querySelector('.response i').dispatchEvent(new MouseEvent('mouseover', { bubbles: true }))"
        browser.value(detail)
        if "entropy" not in browser.value("document.querySelector('.detail').innerText"):
            flaws.append(f"a token of training says nothing of its entropy, coloured by {name}")
    browser.value("tokens.kind = ''")
    return flaws


def main():
    opd, run = sys.argv[1], pathlib.Path(sys.argv[2])
    folder = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    process, address = start(opd, [run, run])
    flaws = []
    try:
        for width, height, dark in ((1280, 900, False), (390, 844, True)):
            browser = Browser(width, height, dark)
            flaws += [f"{width}: the page does not show {one!r}" for one in check(browser, address, opd, run)]
            for view in VIEWS:
                browser.open(f"{address}#{view}")
                ready = {
                    "tokens": "document.querySelector('.card')",
                    "stages": "document.querySelector('.tile, #view p')",
                }
                browser.wait(ready.get(view, "document.querySelector('.chart')"))
                wide = browser.value("document.documentElement.scrollWidth")
                if wide > width:
                    flaws.append(f"{width}: {view} is {wide} pixels wide")
                if view == "tokens":
                    flaws += [f"{width}: {flaw}" for flaw in unpainted(browser, run)]
                if folder and view in ("overview", "stages", "tokens"):
                    browser.screenshot(folder / f"live-{view}-{width}.png")
            # By keyboard alone: to the tabs, along them, and into a chart.
            browser.open(f"{address}#overview")
            browser.wait("document.querySelector('.plot')")
            browser.value("document.querySelector('[role=tab][tabindex=\"0\"]').focus()")
            for key in ("ArrowRight", "ArrowLeft"):
                browser.call("Input.dispatchKeyEvent", type="keyDown", key=key)
            if not browser.value("location.hash === '#overview' && document.activeElement.dataset.view === 'overview'"):
                flaws.append(f"{width}: arrow keys do not move along the tabs")
            browser.wait("document.querySelector('.plot')")
            browser.value("document.querySelector('.plot').focus()")
            browser.call("Input.dispatchKeyEvent", type="keyDown", key="Home")
            if "steps" not in browser.value("document.querySelector('.chart h3').innerText"):
                flaws.append(f"{width}: the Home key does not move along a chart")
            flaws += [f"{width}: {error}" for error in browser.errors]
            browser.close()
    finally:
        process.terminate()
        process.wait(timeout=60)
    print("\n".join(flaws) if flaws else "the page shows the numbers of the files, and nothing was complained of")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
