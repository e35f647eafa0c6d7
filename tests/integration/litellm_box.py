# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real LiteLLM, run as the role describes it, and a client for it."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible_collections.gpubox.llm.plugins.module_utils._stack.service import DEFAULTS, merge

from tests.repository import ROOT
from tests.rig.commands import run
from tests.unit.litellm_rendered import secret, service

if not AnsibleCollectionConfig.collection_finder:  # once per process: lookups by their full names
    init_plugin_loader([str(ROOT / "collections")])

MASTER_KEY = "sk-canary-master-5f2b9c"
PROMPT = "canary-prompt-7c1e"


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def content(self) -> str:
        """What the model said, or the deltas of a stream put together."""
        if "text/event-stream" not in self.headers["content-type"]:
            return str(self.json["choices"][0]["message"]["content"])
        data = [line[6:] for line in self.text.splitlines() if line.startswith("data: ")]
        assert data[-1] == "[DONE]"
        deltas = [c["delta"] for d in data[:-1] for c in json.loads(d)["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)


@dataclass
class Box:
    """The role's service on this engine, under a name of its own."""

    project: str
    directory: Path
    variables: dict[str, Any]
    hosts: dict[str, str] = field(default_factory=dict)
    url: str = ""

    def __post_init__(self) -> None:
        self.variables = {"litellm_master_key": MASTER_KEY, **self.variables}
        self.definition = service(**self.variables)
        self._write("files", self.definition["files"])
        self._write(
            "secrets",
            {
                name: secret(source["variable"], **self.variables)
                for name, source in self.definition["secrets"].items()
            },
        )

    def _write(self, kind: str, contents: dict[str, str]) -> None:
        """As the stack does: owned by the container's user, readable by nobody else."""
        directory = self.directory / kind
        directory.mkdir(parents=True)
        uid, gid = map(int, self.definition["compose"]["user"].split(":"))
        for name, content in contents.items():
            (directory / name).write_text(content)
            (directory / name).chmod(0o400)
            os.chown(directory / name, uid, gid)
        os.chown(directory, uid, gid)
        directory.chmod(0o500)

    @property
    def mounts(self) -> list[str]:
        targets = {"files": self.definition["files_dir"], "secrets": "/run/secrets"}
        return [f"{self.directory / kind}:{target}:ro" for kind, target in targets.items()]

    def up(self) -> None:
        """Start it and wait until its health check passes."""
        compose = dict(merge(DEFAULTS, self.definition["compose"]))
        compose["volumes"] = self.mounts
        compose["extra_hosts"] = {**compose["extra_hosts"], **self.hosts}
        networks = {name: {"internal": name != "egress"} for name in compose["networks"]}
        project = {"services": {"litellm": compose}, "networks": networks}
        (self.directory / "compose.json").write_text(json.dumps(project).replace("$", "$$"))
        try:
            self.compose("up", "--detach", "--wait")
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.log()}") from error
        inspect = json.loads(run("docker", "inspect", self.container))[0]
        address = inspect["NetworkSettings"]["Networks"][f"{self.project}_app"]["IPAddress"]
        self.url = f"http://{address}:4000"

    def compose(self, *words: str) -> str:
        file = self.directory / "compose.json"
        return run("docker", "compose", "-p", self.project, "-f", file, *words)

    @property
    def container(self) -> str:
        return f"{self.project}-litellm-1"

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "2")

    def request(
        self, path: str, body: dict[str, Any] | None = None, key: str = MASTER_KEY
    ) -> Answer:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return _answer(answer)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error)

    def chat(self, model: str, key: str = MASTER_KEY, **more: Any) -> Answer:
        """Ask the model for an answer to the canary prompt."""
        messages = [{"role": "user", "content": PROMPT}]
        body = {"model": model, "messages": messages, **more}
        return self.request("/v1/chat/completions", body, key)

    def log(self) -> str:
        return _both("docker", "logs", self.container)

    def logged(self, request_id: str) -> list[dict[str, Any]]:
        """The lines about one request; written just after the answer, so this waits for the first."""
        for _attempt in range(50):
            lines = [json.loads(line) for line in self.log().splitlines() if request_id in line]
            if lines:
                return lines
            time.sleep(0.1)
        return []


def _answer(answer: Any) -> Answer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status, headers, answer.read().decode())


def _both(*command: str) -> str:
    """What a program says on both of its outputs."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    return done.stdout
