# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run shows while it works: on a terminal, which is a real one here, and where there is none."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils import _progress
from ansible_collections.gpubox.llm.plugins.module_utils._progress import MARK, Progress
from ansible_collections.gpubox.llm.plugins.plugin_utils import live
from ansible_collections.gpubox.llm.plugins.plugin_utils.live import Screen

from tests.repository import BIN, ROOT

# What the module writes


class Time:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch, _progress)


def test_a_line_is_said_after_the_seconds_since_the_start(tmp_path: Path, clock: Time) -> None:
    progress = Progress(str(tmp_path / "file"))
    progress.say("first\n")
    clock.now += 65.4
    progress.say("second")
    assert (tmp_path / "file").read_text() == "   0 s  first\n  65 s  second\n"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_state_is_written_twice_a_second_and_its_end_always(tmp_path: Path, clock: Time) -> None:
    progress = Progress(str(tmp_path / "file"))
    for tenth in range(20):
        progress.state("a", f"{tenth}")
        progress.state("b", f"{tenth}")
        clock.now += 0.1
    progress.done("a", "end")
    lines = [line.split(MARK)[1:] for line in (tmp_path / "file").read_text().splitlines()]
    texts = {(kind, key, text) for kind, _seconds, key, text in lines}
    for key in "ab":
        assert {text for kind, one, text in texts if (kind, one) == ("live", key)} == {
            "0",
            "5",
            "10",
            "15",
        }
    assert lines[-1] == ["done", "2", "a", "end"]


def test_a_text_stays_in_its_line(tmp_path: Path) -> None:
    Progress(str(tmp_path / "file")).done(f"a\nb{MARK}c", f"d\r\ne{MARK}")
    assert (tmp_path / "file").read_text() == MARK.join(["", "done", "0", "a b c", "d e\n"])


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "file"))

    def work(name: str) -> None:
        for _unused in range(200):
            progress.done(name, name * 50)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "file").read_text().splitlines()
    assert sorted({line.split(MARK)[4] for line in lines}) == [name * 50 for name in "abcd"]
    assert len(lines) == 800


def test_no_file_is_no_error(tmp_path: Path) -> None:
    for path in (None, "", str(tmp_path / "nowhere/file")):
        progress = Progress(path)
        progress.say("a")
        progress.state("a", "b")
        progress.done("a", "b")
        progress.end(False)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    Progress(str(tmp_path / "link")).say("a")
    assert not (tmp_path / "target").exists()


# What the user sees


class Terminal:
    """As much of a terminal as is used: lines, cursor up, clear to the end; a line that is too long is cut."""

    def __init__(self, width: int = 40) -> None:
        self.width = width
        self.lines: list[str] = []
        self.row = 0
        self.log: list[str] = []

    def display(
        self, text: str, screen_only: bool = False, log_only: bool = False, newline: bool = True
    ) -> None:
        if not screen_only:
            self.log.append(text)
        if not log_only:
            self.write(text + ("\n" if newline else ""))

    def write(self, text: str) -> None:
        for up, clear, mode, words, end in re.findall(
            r"\x1b\[(\d+)A|(\x1b\[J)|(\x1b\[\?7[lh])|([^\x1b\n]+)|(\n)", text
        ):
            if up:
                self.row -= int(up)
                assert self.row >= 0
            elif clear:
                del self.lines[self.row :]
            elif end:
                self.lines += [""] * (self.row + 1 - len(self.lines))
                self.row += 1
            elif words and not mode:
                self.lines[self.row :] = [words[: self.width]]


def lines(*wanted: str) -> list[str]:
    """'a half' is a state, 'a! whole' an end, 'just words' are said."""
    found = []
    for text in wanted:
        key, _space, rest = text.partition(" ")
        if key == "just":
            found.append(text)
        else:
            kind = "done" if key.endswith("!") else "live"
            found.append(MARK.join(["", kind, "7", key.rstrip("!"), rest]))
    return found


LOOKS = [
    lines("just starting"),
    lines("a 1 %", "b 1 %"),
    lines("a 5 %", "just a word", "b 7 %", "a 9 %"),
    lines("b! whole", "c 1 %"),
    lines("c! whole", "a! whole"),
    lines("just that"),
]


def watch(screen: Screen, looks: Iterable[list[str]], terminal: Terminal) -> list[list[str]]:
    seen = []
    for look in looks:
        screen.take(look)
        seen.append([re.sub(r"^7 s +", "", line.strip()) for line in terminal.lines])
    return seen


def test_states_are_drawn_in_place_below_what_is_done() -> None:
    terminal = Terminal()
    assert watch(Screen(True, terminal), LOOKS, terminal) == [
        ["just starting"],
        ["just starting", "a: 1 %", "b: 1 %"],
        ["just starting", "just a word", "a: 9 %", "b: 7 %"],
        ["just starting", "just a word", "b: whole", "a: 9 %", "c: 1 %"],
        ["just starting", "just a word", "b: whole", "c: whole", "a: whole"],
        ["just starting", "just a word", "b: whole", "c: whole", "a: whole", "just that"],
    ]


def test_the_log_holds_what_stays_on_the_screen() -> None:
    terminal = Terminal()
    watch(Screen(True, terminal), LOOKS, terminal)
    assert [line.strip() for line in terminal.log] == [line.strip() for line in terminal.lines]
    assert "\x1b" not in "".join(terminal.log)


def test_a_line_that_is_too_long_takes_one_row() -> None:
    terminal = Terminal(width=20)
    watch(Screen(True, terminal), [lines("a " + "x" * 90, "b y"), lines("b z")], terminal)
    assert len(terminal.lines) == 2
    assert terminal.lines[1].endswith("b: z")


def test_more_than_fits_is_not_drawn() -> None:
    terminal = Terminal()
    watch(Screen(True, terminal), [lines(*(f"k{n} 1 %" for n in range(40)))] * 3, terminal)
    assert len(terminal.lines) == live.LONGEST_BLOCK


def test_without_a_terminal_states_are_sparse_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, terminal = Time(monkeypatch, live), Terminal()
    screen = Screen(False, terminal)
    for second in range(40):
        screen.take(lines(f"a {second}", f"b {second}"))
        clock.now += 1
    screen.take(lines("a! whole", "c 1", "c! whole"))
    shown = [line.strip() for line in terminal.lines]
    keys = [re.sub(r"^7 s +", "", line) for line in shown]
    assert keys == ["a: 0", "b: 0", "a: 15", "b: 15", "a: 30", "b: 30", "a: whole", "c: whole"]


@pytest.mark.parametrize("in_place", [True, False])
def test_nothing_from_the_box_steers_the_terminal(in_place: bool) -> None:
    terminal = Terminal()
    screen = Screen(in_place, terminal)
    screen.take([f"{MARK}done{MARK}1{MARK}\x1b]0;evil\x07{MARK}\x1b[2J\x9b2J", "said \x1b[2J"])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(terminal.log))


def test_a_line_that_was_never_finished_is_shown_as_it_is() -> None:
    terminal = Terminal()
    Screen(False, terminal).take([f"{MARK}live{MARK}3{MARK}a"])
    assert [line.strip() for line in terminal.lines] == ["live 3 a"]


# A playbook

MODULE = """
import time
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gpubox.llm.plugins.module_utils._progress import Progress
module = AnsibleModule({"progress": {"type": "bool", "default": True}, "progress_file": {}, "note": {}})
with open(module.params["note"], "a") as note:
    print(module.params["progress_file"] or "", file=note)
progress = Progress(module.params["progress_file"])
progress.say("looking")
for number in range(8):
    for key in "ab":
        progress.state(key, f"{number * 10} %")
    time.sleep(0.5)
for key in "ab":
    progress.done(key, "pulled")
module.exit_json(changed=True)
"""
ACTION = """
from ansible_collections.gpubox.llm.plugins.plugin_utils.live import LiveAction
class ActionModule(LiveAction):
    pass
"""


@dataclass
class Shown:
    """What ansible-playbook shows of a task that takes four seconds, and where its progress was written."""

    text: str
    files: list[str]


def play(place: Path, terminal: bool, hosts: str = "box,", **arguments: Any) -> Shown:
    for room, text in (("library", MODULE), ("action", ACTION)):
        (place / room).mkdir()
        (place / room / "slow.py").write_text(text)
    note = place / "note"
    task = {"slow": {"note": str(note), **arguments}}
    plays = [{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": [task]}]
    (place / "play.json").write_text(json.dumps(plays))
    (place / "ansible.cfg").write_text("")
    env = {
        **os.environ,
        "TERM": "xterm",
        "ANSIBLE_CONFIG": str(place / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_LIBRARY": str(place / "library"),
        "ANSIBLE_ACTION_PLUGINS": str(place / "action"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    command = [str(BIN / "ansible-playbook"), "-i", hosts, "play.json"]
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen(
        command, env=env, cwd=place, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        seen = b""
        while piece := read(ours):
            seen += piece
    os.close(ours)
    assert running.returncode == 0, seen.decode()
    return Shown(seen.decode(), note.read_text().split())


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how a terminal says that nobody writes to it any more
        return b""


PLAYS: dict[str, dict[str, Any]] = {
    "terminal": {"terminal": True},
    "pipe": {"terminal": False},
    "two boxes": {"terminal": True, "hosts": "one,two,"},
    "quiet": {"terminal": True, "progress": False},
}


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    """All of them at once: they mostly wait."""
    with ThreadPoolExecutor(len(PLAYS)) as pool:
        running = {
            name: pool.submit(play, tmp_path_factory.mktemp("play"), **options)
            for name, options in PLAYS.items()
        }
    return {name: one.result() for name, one in running.items()}


def test_a_playbook_on_a_terminal_redraws(plays: dict[str, Shown]) -> None:
    seen = plays["terminal"].text
    assert "\x1b[2A\x1b[J" in seen
    terminal = Terminal(width=200)
    terminal.write(re.sub(r"\x1b\[[\d;]*m|\r", "", seen))
    shown = "\n".join(terminal.lines)
    assert re.search(r"\n +0 s  looking\n +\d s  a: pulled\n +\d s  b: pulled\nchanged: ", shown)
    assert "%" not in shown, "a state is left on the screen"


@pytest.mark.parametrize(("name", "boxes"), [("pipe", 1), ("two boxes", 2)])
def test_elsewhere_it_shows_few_lines(plays: dict[str, Shown], name: str, boxes: int) -> None:
    seen = plays[name].text
    assert "\x1b[2A" not in seen
    assert len(re.findall(r"s  a: \d+ %", seen)) == boxes
    assert len(re.findall(r"s  a: pulled", seen)) == boxes


def test_it_can_be_quiet(plays: dict[str, Shown]) -> None:
    quiet = plays["quiet"]
    assert "changed: " in quiet.text
    assert "pulled" not in quiet.text
    assert quiet.files == []


def test_no_file_is_left_behind(plays: dict[str, Shown]) -> None:
    files = [file for shown in plays.values() for file in shown.files]
    assert len(set(files)) == 4
    assert [file for file in files if Path(file).exists()] == []
