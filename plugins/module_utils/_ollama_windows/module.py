# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The body of the module ollama_windows: find out where it may be, ask there, say what is missing. Private."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._docker import client, docker, why_none
from ansible_collections.gpubox.llm.plugins.module_utils._files import read
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import versions
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_windows import candidates as where
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_windows.candidates import (
    Answer,
    System,
    answered,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_windows.probe import (
    ask_from_box,
    ask_from_container,
)
from ansible_collections.gpubox.llm.plugins.module_utils._runner import Outcome, Task, TaskError

__all__ = ["act"]

KERNEL = "/proc/sys/kernel/osrelease"
MIRROR = "/sys/class/net/loopback0"  # where Windows' loopback comes in, in mirrored mode alone


def act(task: Task) -> Outcome:
    """Be the module."""
    params = task.params
    given, port, seconds = params["addresses"], params["port"], params["timeout"]
    wrong = [host for host in given if not where.is_host(host)]
    if wrong:
        raise TaskError(
            f"addresses: {wrong[0]!r} is neither an address nor a name. Give the host alone, without port."
        )
    api = client(60)
    system = look(api)
    listed = where.candidates(system, given)
    if not listed:
        raise TaskError(_nowhere(system))
    box = ask_from_box(where.from_box(system, listed), port, seconds)
    if api is None and not task.check_mode:
        raise TaskError(why_none())
    lacking = _lacking(task, api, params["image"])
    if lacking:
        asked, answers = "box", [answer for answer in box if answer.candidate.kind != "loopback"]
    else:
        asked = "container"
        answers = ask_from_container(api, params["image"], listed, port, seconds)
    if lacking and not task.check_mode:
        task.warn(
            f"{lacking}, so Ollama on Windows was looked for from the box instead of from a container. The next run "
            "asks from a container."
        )
    result = _result(task, answers, box, port, asked)
    return Outcome(False, {**result, "asked_from": asked})


def look(api: Any) -> System:
    """See on what kind of system this is."""
    wsl = where.is_wsl2((read(KERNEL) or "").strip())
    desktop = "Docker Desktop" in str(api.info().get("OperatingSystem")) if api else False
    if not (wsl or desktop):
        return System(wsl)
    gateway, own = where.routes(_ip("address"), _ip("route", "show", "default"))
    mirrored = os.path.exists(MIRROR) or _mode() == "mirrored"
    return System(wsl, desktop, mirrored, gateway, own)


def _ip(*words: str) -> list[dict[str, Any]]:
    program = shutil.which("ip", path="/usr/sbin:/usr/bin:/sbin:/bin") or "ip"
    # This is no module, whose run_command pylint would have.
    # pylint: disable-next=ansible-bad-function
    done = subprocess.run(
        [program, "-json", *words], stdout=subprocess.PIPE, text=True, check=False
    )
    return list(json.loads(done.stdout or "[]"))


def _mode() -> str:
    """WSL's own word for its networking mode; older WSL has no program that says it, and no other mode than NAT."""
    program = shutil.which("wslinfo", path="/usr/bin:/bin")
    if not program:
        return ""
    try:
        words = [program, "--networking-mode"]
        # This is no module, whose run_command pylint would have.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, timeout=5)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def _nowhere(system: System) -> str:
    if system.wsl:
        return (
            "this is WSL 2, but it has no default route, so Windows cannot be found. Look at 'ip route', restart WSL "
            "with 'wsl --shutdown', or name Windows' address in ollama_windows_addresses."
        )
    return (
        "ollama_placement: windows is for WSL 2, and this box is no WSL 2 (its kernel is "
        f"{(read(KERNEL) or '').strip()!r}). Use container or native; or, with a kernel of your own, name Windows' "
        "address in ollama_windows_addresses."
    )


def _lacking(task: Task, api: Any, image: str) -> str:
    """Return why no container can be made of the image; a real run fetches it, as the gateway needs it anyway."""
    if api is None:
        return "there is no engine yet"
    try:
        api.inspect_image(image)
    except docker.errors.ImageNotFound:
        return f"image {image} is not there yet" if task.check_mode else _pull(api, image)
    return ""


def _pull(api: Any, image: str) -> str:
    """Pull it, unless it is one that is built on the box later."""
    words = ""
    try:
        for event in api.pull(image, stream=True, decode=True):
            words = words or str(event.get("error") or "")
    except docker.errors.APIError as error:
        words = str(error.explanation)
    return f"image {image} is not there and cannot be pulled ({words.rstrip('.')})" if words else ""


def _result(
    task: Task, answers: Sequence[Answer], box: Sequence[Answer], port: int, asked: str
) -> dict[str, Any]:
    found = next((answer for answer in answers if answered(answer)), None)
    if found is None:
        raise TaskError(where.complaint(answers, box, port, asked))
    near = [answer for answer in box if answered(answer)]
    near.sort(key=lambda answer: answer.address != found.address)
    if not near:
        raise TaskError(
            f"containers reach Ollama on Windows at {found.address}, but this box does not, and it has to look after "
            "the models. Name an address in ollama_windows_addresses that both reach."
        )
    version = answered(found)
    _warn(task, version)
    return {
        "address": found.address,
        "url": f"http://{near[0].address}:{port}",
        "version": version,
        "found_as": found.candidate.kind,
    }


def _warn(task: Task, version: str) -> None:
    try:
        faults = versions.faults(version)
    except ValueError:
        return
    if faults:
        task.warn(
            f"Ollama {version} on Windows has known holes: {'; '.join(faults)}. Update it there to "
            f"{versions.FLOOR} or newer."
        )
