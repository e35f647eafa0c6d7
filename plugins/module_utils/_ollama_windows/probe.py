# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks candidates for Ollama, from inside a throw-away container and from the box. Private to this collection."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._docker import EngineError, docker
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_windows.candidates import (
    Answer,
    Candidate,
)

__all__ = ["ask_from_box", "ask_from_container"]

# The same program asks in both places, all candidates at once. The image has Python and nothing else for sure.
PROGRAM = r"""
import concurrent.futures, http.client, json, socket, sys

def ask(host):
    try:
        address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    except OSError:
        return ["", "unknown", 0, ""]
    try:
        connection = http.client.HTTPConnection(address, port, timeout=seconds)
        connection.request("GET", "/api/version", headers={"Host": "host.docker.internal:%d" % port})
        answer = connection.getresponse()
        return [address, "answer", answer.status, answer.read(4096).decode("utf-8", "replace")]
    except ConnectionRefusedError:
        return [address, "refused", 0, ""]
    except socket.timeout:
        return [address, "timeout", 0, ""]
    except (OSError, http.client.HTTPException) as error:
        return [address, str(error) or type(error).__name__, 0, ""]

hosts, port, seconds = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(json.dumps(list(pool.map(ask, hosts))))
"""


def ask_from_box(listed: Sequence[Candidate], port: int, seconds: int) -> list[Answer]:
    """Ask as the box itself does."""
    words = [sys.executable, "-I", "-c", PROGRAM, _question(listed, port, seconds)]
    # This is no module, whose run_command pylint would have.
    # pylint: disable-next=ansible-bad-function
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    return _answers(listed, done.stdout)


def ask_from_container(
    api: Any, image: str, listed: Sequence[Candidate], port: int, seconds: int
) -> list[Answer]:
    """Ask as a container on the default bridge does. It may do nothing but that, and is gone afterwards."""
    confined = api.create_host_config(
        network_mode="bridge",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="256m",
        pids_limit=64,
    )
    try:
        container = api.create_container(
            image,
            entrypoint=["python3", "-I", "-c", PROGRAM, _question(listed, port, seconds)],
            command=[],
            user="65534:65534",
            labels={"gpubox.llm.probe": "ollama_windows"},
            host_config=confined,
        )["Id"]
        try:
            api.start(container)
            api.wait(container, timeout=seconds + 30)
            said = api.logs(container, stderr=False).decode()
            error = api.logs(container, stdout=False).decode(errors="replace")
        finally:
            api.remove_container(container, force=True, v=True)
    except docker.errors.APIError as failure:
        raise EngineError(
            f"no container of {image} could ask for Ollama: {failure.explanation}. Name an image that is there "
            "and has python3."
        ) from failure
    if not said:
        raise EngineError(
            f"a container of {image} could not ask for Ollama: {error.strip()[-300:]}. Name an image that has python3."
        )
    return _answers(listed, said)


def _question(listed: Sequence[Candidate], port: int, seconds: int) -> str:
    return json.dumps([[candidate.host for candidate in listed], port, seconds])


def _answers(listed: Sequence[Candidate], said: str) -> list[Answer]:
    return [Answer(candidate, *row) for candidate, row in zip(listed, json.loads(said))]
