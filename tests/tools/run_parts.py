# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the parts of `make test`: each one a target of the Makefile, each to its end.

What needs no container engine runs first, side by side; what needs it follows.
Every line is shown as it comes, with the time and its part; build/test/<part>.log keeps them.
The last lines say how long each part took, which ones failed and how many tests ran.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

STAGES = [
    ["lint", "unit", "sanity", "sanity-newest", "package"],
    ["machine"],
    ["integration"],
    ["molecule"],
]
AT_ONCE = 2
LOGS = Path("build/test")
# What pytest closes with: "=== 3 passed, 1 skipped in 0.12s ===", in colour or not.
CLOSING = re.compile(r"(?:=+ |^)((?:\d+ \w+, )*\d+ \w+) in [\d.]+s")
COUNTED = re.compile(r"(\d+) (passed|failed|errors?|skipped)")
COLOUR = re.compile(r"\x1b\[[\d;]*m")

_screen = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    part: str
    seconds: float
    code: int
    tests: Counter[str]

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {what}" for what, number in self.tests.items() if number)
        verdict = "ok" if self.code == 0 else "FAILED"
        return f"{self.part:<14} {verdict:<7} {self.seconds:6.0f} s   {counts}".rstrip()


def say(part: str, line: str) -> None:
    with _screen:
        print(f"{time.strftime('%H:%M:%S')} {part:<13} | {line}", flush=True)


def count(lines: list[str]) -> Counter[str]:
    """Add up what the pytest runs among these lines closed with."""
    found: Counter[str] = Counter()
    for line in lines:
        if closing := CLOSING.search(COLOUR.sub("", line)):
            for number, what in COUNTED.findall(closing[1]):
                found["failed" if what.startswith("error") else what] += int(number)
    return found


def run(part: str) -> Outcome:
    """Run one target to its end."""
    say(part, f"make {part}")
    started = time.monotonic()
    lines = []
    with (
        (LOGS / f"{part}.log").open("w") as log,
        subprocess.Popen(
            ["make", "--no-print-directory", part],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            log.write(line)
            say(part, line.rstrip())
            lines.append(line)
    outcome = Outcome(part, time.monotonic() - started, process.returncode, count(lines))
    say(part, str(outcome))
    return outcome


def main(wanted: list[str]) -> int:
    """Run the wanted parts, or all; say how it went."""
    known = [part for stage in STAGES for part in stage]
    if unknown := sorted(set(wanted) - set(known)):
        print(f"No such part: {', '.join(unknown)}. There are: {', '.join(known)}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for stage in STAGES:
            outcomes += pool.map(run, [part for part in stage if not wanted or part in wanted])
    total = sum((outcome.tests for outcome in outcomes), Counter())
    failed = [outcome.part for outcome in outcomes if outcome.code]
    print("\n", *outcomes, f"{'all':<22} {time.monotonic() - started:6.0f} s", "", sep="\n")
    if failed:
        print(f"Failed: {', '.join(failed)}  (build/test/<part>.log)\n")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
