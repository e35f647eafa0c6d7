# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure a run that has nothing to do, on a full box of twelve services, side by side with an idiomatic playbook.

Both act on hosts of their own over SSH with the same settings (pipelining), take turns, and reach the same containers.
``--keep`` leaves the hosts for the next time; ``--rounds N`` measures more often.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.same_box import full_box, idiomatic_variables, what_runs
from tests.rig.box import ROOT, Box
from tests.rig.commands import run, succeeds
from tests.rig.host import USER, Host
from tests.rig.images import busybox
from tests.rig.stack_images import ARCHIVES, make

if TYPE_CHECKING:
    from collections.abc import Callable

INVENTORY = ROOT / "molecule" / "quickstart" / "inventory"
IDIOMATIC = Path(__file__).with_name("idiomatic.yml")


def main() -> None:
    """Prepare both boxes, measure, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    ours, theirs = (Box(Host(name), INVENTORY) for name in ("bench", "bench-idiomatic"))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            compare(ours, theirs, Path(scratch), arguments.rounds)
    finally:
        if not arguments.keep:
            ours.host.down()
            theirs.host.down()


def compare(ours: Box, theirs: Box, scratch: Path, rounds: int) -> None:
    """Three measurements, then the table."""
    make()
    for box in (ours, theirs):
        if not succeeds("docker", "exec", box.host.container, "true"):
            box.host.up({}, f"{ARCHIVES}:/archives:ro")
    say("quickstart: converge, then measure")
    ours.converge()
    quickstart = [no_op(ours) for _round in range(rounds)]
    full = _extra(scratch / "full.json", {"stack_services": full_box(busybox())})
    say("full box: converge")
    load(ours.host, busybox())
    ours.converge(*full)
    same = _extra(scratch / "same.json", idiomatic_variables(ours))
    say("the same box, idiomatically: converge")
    prepare(ours, theirs)
    converge(theirs, *same)
    assert what_runs(theirs) == what_runs(ours), "the two boxes differ"
    say("measure")
    contestants: dict[str, Callable[[], float]] = {
        "this collection": lambda: no_op(ours, *full),
        "idiomatic playbook": lambda: no_op(theirs, *same, playbook=IDIOMATIC),
        "docker compose up -d": lambda: floor(ours.host),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _round in range(rounds):
        for name, measure in contestants.items():
            times[name].append(measure())
    show(times, quickstart)
    calls = remote_calls(ours, *full), remote_calls(theirs, *same, playbook=IDIOMATIC)
    print(f"remote module calls: this collection {calls[0]}, idiomatic playbook {calls[1]}")


def _extra(path: Path, variables: dict[str, Any]) -> tuple[str, str]:
    path.write_text(json.dumps(variables))
    return "--extra-vars", f"@{path}"


def say(what: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def converge(box: Box, *arguments: str) -> None:
    """The idiomatic playbook to its end; twice, as its handlers come last."""
    for _time in range(2):
        done = box.run(*arguments, playbook=IDIOMATIC)
        assert done.code == 0, done.output


def no_op(box: Box, *arguments: str, **options: Path) -> float:
    """Seconds of a run that changes nothing."""
    start = time.perf_counter()
    done = box.run(*arguments, **options)
    seconds = time.perf_counter() - start
    assert (done.code, done.changed) == (0, 0), done.output
    return seconds


def floor(host: Host) -> float:
    """Seconds of what no playbook can undercut: Compose itself, over SSH."""
    up = "sudo docker compose --project-directory /opt/gpubox up --detach --quiet-pull"
    start = time.perf_counter()
    run("ssh", *host.ssh_options, f"{USER}@{host.address}", up)
    return time.perf_counter() - start


def remote_calls(box: Box, *arguments: str, **options: Path) -> int:
    """How often Ansible executes a module on the box."""
    return box.run("-vvv", *arguments, **options).output.count("Using module file ")


def load(host: Host, image: str) -> None:
    """Hand an image of this engine to the host's."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
        command = ["docker", "exec", "--interactive", host.container, "docker", "load", "--quiet"]
        subprocess.run(command, stdin=save.stdout, check=True, capture_output=True)


def prepare(ours: Box, theirs: Box) -> None:
    """Engine and images: what the idiomatic playbook is not asked to bring."""
    theirs.converge("--tags", "docker_host")
    load(theirs.host, busybox())
    for archive in sorted(ARCHIVES.glob("*.tar.gz")):
        theirs.host.sh(f"docker load --quiet --input /archives/{archive.name}")


def show(times: dict[str, list[float]], quickstart: list[float]) -> None:
    """Medians and ratios, with the spread they came from."""
    ours = statistics.median(times["this collection"])
    print(f"\n{'no-op of a box with 12 services':<34}{'median':>9}{'min':>9}{'max':>9}{'ratio':>9}")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        line = f"{name:<34}{middle:8.2f}s{min(seconds):8.2f}s{max(seconds):8.2f}s"
        print(f"{line}{middle / ours:8.1f}x")
    middle = statistics.median(quickstart)
    print(
        f"{'quickstart (2 services)':<34}{middle:8.2f}s{min(quickstart):8.2f}s{max(quickstart):8.2f}s"
    )


if __name__ == "__main__":
    main()
