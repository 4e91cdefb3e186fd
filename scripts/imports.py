#!/usr/bin/env python3
"""Checks that every target imports what it declares, and declares what it imports.

SwiftPM builds a target that imports what it reaches through others only, as long as the order of the build permits it.
"""

import json
import pathlib
import re
import subprocess
import sys

# Of the toolchain and the system.
PROVIDED = {"Swift", "Foundation", "FoundationEssentials", "Dispatch", "Glibc", "Musl", "Synchronization", "Testing"}
# An indented one is a condition's, of the system, or a line of another language in a string.
IMPORT = re.compile(
    r"^(?:@\w+(?:\([^)]*\))?\s+)*(?:package\s+|public\s+|internal\s+)?import\s+"
    r"(?:struct\s+|class\s+|enum\s+|func\s+|protocol\s+)?(\w+)",
    re.MULTILINE,
)


# What computes, and the one target that may use it beside itself and tests: all others ask an engine.
ARITHMETIC = {"Compute", "Transformers", "Generation", "Training"}
ENGINE = "NativeEngine"


def declared(target):
    """The modules that a target names as its dependencies."""
    for dependency in target["dependencies"]:
        yield next(iter(dependency.values()))[0]


def imported(folder):
    """The modules that the Swift files of a folder import, each with one file that does."""
    found = {}
    for path in sorted(folder.rglob("*.swift")):
        for name in IMPORT.findall(path.read_text()):
            found.setdefault(name, path)
    return found


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    dump = subprocess.run(["swift", "package", "dump-package"], cwd=root, capture_output=True, text=True, check=True)
    flaws = []
    for target in json.loads(dump.stdout)["targets"]:
        if target["type"] == "system":
            continue
        name = target["name"]
        kind = "Tests" if target["type"] == "test" else "Sources"
        folder = root / (target.get("path") or f"{kind}/{name}")
        uses, names = imported(folder), set(declared(target))
        if not uses:
            continue  # C.
        for module in sorted(set(uses) - names - PROVIDED - {name}):
            where = uses[module].relative_to(root)
            flaws.append(f"{where} imports {module}, which target {name} of Package.swift does not name; add it there")
        if target["type"] != "test" and name not in ARITHMETIC | {ENGINE}:
            flaws += [
                f"{uses[module].relative_to(root)} imports {module}, which {ENGINE} alone may; ask an engine instead"
                for module in sorted(set(uses) & ARITHMETIC)
            ]
        # A test target may need a program to be built that it runs.
        needless = names - set(uses) - ({"opd"} if target["type"] == "test" else set())
        flaws += [
            f"Package.swift: target {name} names {module}, which it does not import; take it out"
            for module in sorted(needless)
        ]
    print("\n".join(flaws) if flaws else "every target declares what it imports")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
