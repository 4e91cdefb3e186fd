#!/usr/bin/env python3
"""Takes the pictures of docs/watching.md that show runs which are over; those of a live one are shots.py's.

pictures.py OPD RUN OTHER_RUN FOLDER
"""

import json
import pathlib
import sys

from browser import Browser
from shots import start


def choose(browser, label, value):
    """Chooses in the list that has a label, as a person would."""
    browser.value(f"""(() => {{
        const labels = [...document.querySelectorAll('.controls label')];
        const box = labels.find((one) => one.innerText.startsWith({json.dumps(label)})).querySelector('select');
        box.value = {json.dumps(value)};
        box.dispatchEvent(new Event('change'));
    }})()""")


def point(browser, card, share):
    """Points at a token of a response, some way along it."""
    browser.value(f"""(() => {{
        const marks = document.querySelectorAll('.card')[{card}].querySelectorAll('.response i');
        marks[Math.floor({share} * (marks.length - 1))].dispatchEvent(new MouseEvent('mouseover', {{ bubbles: true }}));
    }})()""")


def take(opd, runs, folder):
    process, address = start(opd, runs[:1])
    try:
        browser = Browser(1280, 960)
        browser.open(address)
        browser.wait("document.querySelectorAll('.chart canvas').length > 4")
        browser.screenshot(folder / "overview.png")
        browser.close()
        browser = Browser(1280, 820, dark=True)
        browser.open(f"{address}#tokens")
        browser.wait("document.querySelector('.card')")
        point(browser, 0, 0.5)
        browser.screenshot(folder / "tokens.png")
        choose(browser, "kind", "train")
        choose(browser, "colour", "entropy")
        point(browser, 1, 0.5)
        browser.screenshot(folder / "tokens-entropy.png")
        choose(browser, "kind", "")
        choose(browser, "colour", "difference")
        choose(browser, "one held-out prompt", "0")
        browser.screenshot(folder / "prompt.png")
        browser.close()
        for view, ready in (("overview", ".chart canvas"), ("tokens", ".card")):
            browser = Browser(390, 1100)
            browser.open(f"{address}#{view}")
            browser.wait(f"document.querySelector('{ready}')")
            browser.screenshot(folder / f"{view}-narrow.png")
            browser.close()
    finally:
        process.terminate()
        process.wait(timeout=60)
    process, address = start(opd, runs)
    try:
        browser = Browser(1280, 1500)
        browser.open(f"{address}#compare")
        browser.wait("document.querySelectorAll('.chart canvas').length > 2")
        browser.screenshot(folder / "compare.png")
        browser.close()
    finally:
        process.terminate()
        process.wait(timeout=60)


if __name__ == "__main__":
    take(sys.argv[1], [pathlib.Path(one) for one in sys.argv[2:4]], pathlib.Path(sys.argv[4]))
