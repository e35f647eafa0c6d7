# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module that speaks to an API keeps to, and how a module says in which cases it does.

A case is one call of a module against one fake. ``tests/unit/laws/<module>.py`` exports its own as ``CASES``; the laws
are in ``test_laws.py``. Modules run as processes of their own, against a socket.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._http import Request

from tests.repository import BIN, ROOT
from tests.unit.fakes.serve import Handle, Server, serve

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class World:
    """What a case acts on: a fake behind ``server.url``, and an empty directory of its own."""

    fake: Any
    server: Server
    path: Path

    @property
    def url(self) -> str:
        return self.server.url


def _never(request: Request) -> bool:
    return False


@dataclass(frozen=True)
class Case:
    """One call of a module.

    ``fake`` makes a fake with its first state. ``arguments`` are the module's, ``absent`` those that take it back.
    ``state`` is a copy of all that the fake and the directory hold, as far as a user would see a difference.
    ``unmanaged`` takes from a state what the arguments do not name. ``reads`` knows requests that only read although
    they are no GET or HEAD. ``unpredictable`` are keys of the result that only a real run can know.
    ``secrets`` are texts in the arguments that nobody may see.
    """

    name: str
    module: str
    fake: Callable[[], Handle]
    arguments: Callable[[World], Mapping[str, Any]]
    state: Callable[[World], Any]
    changed: bool = True
    absent: Callable[[World], Mapping[str, Any]] | None = None
    unmanaged: Callable[[Any], Any] | None = None
    reads: Callable[[Request], bool] = _never
    unpredictable: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.module.rpartition('.')[2]}-{self.name}".replace(" ", "_")

    def reading(self, request: Request) -> bool:
        """Whether ``request`` changes nothing."""
        return request.method in ("GET", "HEAD", "OPTIONS") or self.reads(request)


@dataclass(frozen=True)
class Step:
    """One run of the module: what it returned, said and asked, and the states around it."""

    result: Mapping[str, Any]
    output: str
    requests: tuple[Request, ...]
    before: Any
    after: Any


@dataclass(frozen=True)
class Call:
    """The same arguments three times."""

    check: Step
    real: Step
    again: Step


@dataclass(frozen=True)
class Record:
    """All that happened in one case."""

    present: Call
    absent: Call | None

    @property
    def calls(self) -> tuple[Call, ...]:
        return (self.present, self.absent) if self.absent else (self.present,)


@functools.cache
def record(case: Case) -> Record:
    """Run the case once; every law looks at the same record."""
    with _world(case) as world:
        present = _call(case, world, case.arguments(world))
        absent = _call(case, world, case.absent(world)) if case.absent else None
        return Record(present, absent)


def _call(case: Case, world: World, arguments: Mapping[str, Any]) -> Call:
    steps = [_step(case, world, arguments, check) for check in (True, False, False)]
    return Call(*steps)


def _step(case: Case, world: World, arguments: Mapping[str, Any], check: bool) -> Step:
    asked = len(world.server.requests)
    before = case.state(world)
    given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
    done = subprocess.run(
        [sys.executable, _file(case.module)],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
        env=_environment(world),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert not result.get("failed"), f"{case}: {result.get('msg')}\n{result.get('exception', '')}"
    requests = tuple(world.server.requests[asked:])
    return Step(result, done.stdout + done.stderr, requests, before, case.state(world))


def _file(module: str) -> Path:
    name = module.rpartition(".")[2]
    return ROOT / f"plugins/modules/{name}.py" if "." in module else HERE / f"library/{name}.py"


def _environment(world: World) -> dict[str, str]:
    """No home, configuration, collection or proxy but ours."""
    home = world.path.parent
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    collections = str(ROOT / "collections")
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": collections,
        "NO_PROXY": "127.0.0.1",
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_LIBRARY": str(HERE / "library"),
        "ANSIBLE_LOG_PATH": str(home / "log"),
    }


def playbook(case: Case) -> str:
    """All that ``ansible-playbook -vvv --diff`` says of the case's call, on screen and in its log."""
    with _world(case) as world:
        home = world.path.parent
        task = {case.module: dict(case.arguments(world))}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
        (home / "play.json").write_text(json.dumps([play]))
        interpreter = f"ansible_python_interpreter={sys.executable}"
        done = subprocess.run(
            [BIN / "ansible-playbook", "-vvv", "--diff", "-e", interpreter, "play.json"],
            env=_environment(world),
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert world.server.requests, "the playbook asked the fake nothing"
        return done.stdout + done.stderr + (home / "log").read_text()


@contextmanager
def _world(case: Case) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as home, serve(fake := case.fake()) as server:
        (Path(home) / "ansible.cfg").touch()
        path = Path(home) / "world"
        path.mkdir()
        yield World(fake, server, path)


def cases() -> list[Case]:
    """Those of all modules."""
    names = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("test_"))
    return [
        case
        for name in names
        if name != "case"
        for case in importlib.import_module(f"tests.unit.laws.{name}").CASES
    ]
