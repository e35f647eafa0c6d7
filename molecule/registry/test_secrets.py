# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets are nowhere but in their files: values that a run was given are looked for wherever it leaves something."""

from __future__ import annotations

import base64
import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.box import Box, Run

# Each has a core that no quoting changes, between characters that shells, URLs, JSON and Compose treat as their own.
CORES = {"master": "Kq7ZcanaryMasterW9xV3", "api": "Tn4BcanaryProviderH8sR5"}
MASTER_KEY = f"sk-$HOME%41'\"{CORES['master']}+/=\\"
API_KEY = f"sk-$$(id){{{{{CORES['api']}}}}}&#;"
# Read on standard input which cores to look for; prints the command lines that held one, until it is told to end.
WATCH = """
import glob, json, sys, threading, time
cores = json.loads(sys.stdin.readline())
end = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), end.set()), daemon=True).start()
rounds = 0
while not end.is_set():
    rounds += 1
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            line = open(path, errors="replace").read()
        except OSError:
            continue
        if any(core in line for core in cores):
            print("FOUND", line.split("\\0")[0], flush=True)
    time.sleep(0.01)
print("ROUNDS", rounds, flush=True)
"""
LEFT_BEHIND = {
    "inspect": "docker ps -aq | xargs docker inspect; docker volume ls -q | xargs -r docker volume inspect",
    "history": "docker images -q | xargs -n1 docker history --no-trunc",
    "logs": "for c in $(docker ps -aq); do docker logs $c 2>&1; done",
    "compose config": "cd /opt/gpubox && docker compose config",
    "journal": "journalctl --no-pager",
    "environment of the first process": "cat /proc/1/environ",
    "files": "grep -rlaE '{pattern}' /tmp /var/tmp /root /home /etc /run /var/log /opt/gpubox 2>/dev/null"
    " | grep -vE '^/opt/gpubox/(secrets|services/[^/]+/secrets)/' || true",
}


def _needles() -> list[str]:
    """What gives a secret away: its core in clear, or in base64 at any of three alignments."""
    found = list(CORES.values())
    for core in CORES.values():
        for shift in range(3):
            text = base64.b64encode(b"\0" * shift + core.encode()).decode()
            found.append(text[4:-4])
    return found


def _leaks(text: str) -> list[str]:
    return [needle for needle in _needles() if needle in text]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Variables as a vault holds them; on the command line they would be seen by everybody."""
    models: list[dict[str, Any]] = [
        {"name": "mock", "provider": "mock", "mock_response": "Hello from your own gateway."},
        {"name": "cloud", "provider": "openai", "model": "gpt-4o-mini", "api_key": API_KEY},
    ]
    path = tmp_path_factory.mktemp("vault") / "secrets.json"
    path.write_text(json.dumps({"litellm_master_key": MASTER_KEY, "llm_models": _unsafe(models)}))
    return path


def _unsafe(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A value with braces is text, not a template."""
    models[1]["api_key"] = {"__ansible_unsafe": API_KEY}
    return models


@contextmanager
def _watching(box: Box) -> Iterator[list[str]]:
    """The list holds, afterwards, what the command lines on the box gave away."""
    seen: list[str] = []
    watcher = ["docker", "exec", "--interactive", box.host.container, "python3", "-c", WATCH]
    with subprocess.Popen(
        watcher, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(_needles()) + "\n")
        process.stdin.flush()
        yield seen
        output, _none = process.communicate("end\n", timeout=30)
        seen += output.splitlines()


@pytest.fixture(scope="module")
def watched(box: Box, given: Path) -> Iterator[tuple[Run, list[str]]]:
    """A run with every word Ansible has, and what the command lines on the box were meanwhile."""
    with _watching(box) as seen:
        run = box.run("-vvv", "--diff", "--extra-vars", f"@{given}")
    yield run, seen
    box.converge()


def test_the_run_ends_well_and_the_key_arrives_unchanged(
    box: Box, watched: tuple[Run, list[str]]
) -> None:
    run, _seen = watched
    assert run.code == 0, run.output
    assert box.secret("litellm_master_key") == MASTER_KEY
    with (
        box.tunnel() as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key=MASTER_KEY, max_retries=0) as client,
    ):
        assert "cloud" in {model.id for model in client.models.list()}


def test_output(watched: tuple[Run, list[str]]) -> None:
    run, _seen = watched
    assert "EXEC" in run.output, "-vvv shows what is executed"
    assert _leaks(run.output) == []


def test_command_lines(watched: tuple[Run, list[str]]) -> None:
    _run, seen = watched
    [rounds] = seen
    assert int(rounds.removeprefix("ROUNDS ")) > 100


def test_the_watch_sees_a_command_line(box: Box) -> None:
    with _watching(box) as seen:
        box.host.sh(f"sh -c 'sleep 1; : {CORES['api']}'")
    assert "FOUND sh" in seen


@pytest.mark.parametrize("place", LEFT_BEHIND)
def test_what_is_left_on_the_box(box: Box, watched: tuple[Run, list[str]], place: str) -> None:
    script = LEFT_BEHIND[place].replace("{pattern}", "|".join(_needles()))
    found = box.host.sh(script)
    assert _leaks(found) == []
    if place == "files":
        assert found == ""


def test_the_search_finds_what_is_there(box: Box, watched: tuple[Run, list[str]]) -> None:
    """In the one place where they belong."""
    assert _leaks(box.host.sh("cat /opt/gpubox/secrets/*")) == list(CORES.values())


def test_check_mode(box: Box, given: Path, watched: tuple[Run, list[str]]) -> None:
    assert (
        _leaks(box.converge("-vvv", "--diff", "--check", "--extra-vars", f"@{given}").output) == []
    )


def test_a_failing_run(box: Box, given: Path, watched: tuple[Run, list[str]]) -> None:
    """LiteLLM refuses the configuration, which names where the secrets are."""
    broken = json.dumps({"litellm_config_overrides": {"litellm_settings": ["not a mapping"]}})
    run = box.run("-vvv", "--diff", "--extra-vars", f"@{given}", "--extra-vars", broken)
    assert run.code != 0
    assert _leaks(run.output) == []
