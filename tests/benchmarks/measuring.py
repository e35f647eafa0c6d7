# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How contestants are started, measured and shown."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rig.commands import ROOT
from tests.rig.ollama import binary

if TYPE_CHECKING:
    from tests.benchmarks.model_store import Ollama, Registry

MB = 1_000_000
MODULE = ROOT / "plugins" / "modules" / "ollama_model.py"


@dataclass(frozen=True)
class Run:
    """What a contestant took, once."""

    seconds: float
    sent: int  # bytes, by the registry's count
    manifests: int  # that the registry was asked for
    asked: int  # requests to the Ollama server
    stopped: bool = False  # because its time was up


Contestant = Callable[[], object]
Results = dict[str, list[Run]]


class TimeIsUp(Exception):
    """The contestant was stopped."""


@dataclass(frozen=True)
class Stage:
    """Where contestants act, and how long each of them may."""

    scratch: Path
    limit: float

    def program(self, *command: str | Path, **environment: str) -> None:
        """Run a program to its end, or stop it with all that it started."""
        given = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "NO_PROXY": "*", **environment}
        with subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **given},
            cwd=self.scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _none = process.communicate(timeout=self.limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise TimeIsUp from None
        assert process.returncode == 0, output

    def play(self, name: str, task: dict[str, object]) -> Contestant:
        """A playbook with this task."""
        path = self.scratch / f"{name}.json"
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        path.write_text(json.dumps([{**play, "tasks": [task]}]))
        program = Path(sys.executable).with_name("ansible-playbook")
        extra = f"ansible_python_interpreter={sys.executable}"
        return lambda: self.program(program, "-i", "localhost,", "-e", extra, path)

    def module(self, arguments: dict[str, object]) -> None:
        """The module as a box runs it, without Ansible around it."""
        path = self.scratch / "arguments.json"
        path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        self.program(sys.executable, MODULE, path, PYTHONPATH=str(ROOT / "collections"))

    def pull(self, server: Ollama, *names: str) -> None:
        """A loop of ``ollama pull``."""
        loop = 'program=$1; shift; for name; do "$program" pull --insecure "$name"; done'
        self.program("sh", "-ec", loop, "sh", binary(), *names, **server.environment)


def measure(act: Contestant, source: Registry, server: Ollama | None = None, **line: float) -> Run:
    """Once, over a line of this kind."""
    source.set_line(**line)
    before = server.requests() if server else 0
    start, stopped = time.perf_counter(), False
    try:
        act()
    except TimeIsUp:
        stopped = True
    seconds = time.perf_counter() - start
    asked = server.requests() - before if server else 0
    found = source.report()
    return Run(seconds, found["sent"], found["manifests"], asked, stopped)


def middle(runs: list[Run]) -> float:
    """The median of the seconds."""
    return statistics.median(run.seconds for run in runs)


def say(what: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def show(title: str, results: Results, against: str) -> None:
    """Medians with the spread they came from, and how many times ``against`` each took."""
    one = middle(results[against])
    print(f"\n{title}")
    head = ("median", "min", "max", "ratio", "MB", "manifests", "server")
    print(" " * 34 + "".join(f"{word:>10}" for word in head))
    for name, runs in results.items():
        seconds = [run.seconds for run in runs]
        times = "".join(f"{value:9.2f}s" for value in (middle(runs), min(seconds), max(seconds)))
        sent = statistics.median(run.sent for run in runs) / MB
        rest = f"{middle(runs) / one:9.2f}x{sent:10.1f}{runs[-1].manifests:10d}{runs[-1].asked:10d}"
        print(f"{name:<34}{times}{rest}{'   stopped' if runs[-1].stopped else ''}")


def verdict(what: str, ratio: float, goal: float, least: str = "") -> None:
    """One line for one goal."""
    print(f"{'yes' if ratio >= goal else 'NO '}  {what}: {least}{ratio:.1f}x; {goal}x is the goal")
