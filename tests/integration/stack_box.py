"""A stack of stand-in services on this machine's engine, driven through the role as a user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Describe
      ansible.builtin.set_fact: {__stack_services: "{{ described }}"}
      no_log: true
      when: described | length > 0
      tags: [always]
    - name: Run the role
      ansible.builtin.import_role: {name: gpubox.llm.stack}
      tags: [always]
"""


@dataclass
class Result:
    rc: int
    output: str
    data: dict[str, Any]

    @property
    def plan(self) -> list[str]:
        return self.data.get("plan", [])

    @property
    def changed(self) -> bool:
        return bool(self.data.get("changed"))

    @property
    def message(self) -> str:
        return str(self.data.get("msg", ""))


@dataclass
class Box:
    project: str
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.directory / "home"

    def command(self, variables: dict[str, Any], *arguments: str) -> list[str]:
        play, extra = self.directory / "play.yml", self.directory / "variables.json"
        play.write_text(PLAY)
        fixed = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "stack_home": str(self.home),
            "stack_project": self.project,
            "stack_wait_seconds": 20,
            "described": {},
        }
        extra.write_text(json.dumps({**fixed, **variables}))
        return [str(ANSIBLE_PLAYBOOK), "-i", "localhost,", str(play), "-e", f"@{extra}", *arguments]

    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.environment,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/integration/callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "RESULTS_TASK": "gpubox.llm.stack",
            "RESULTS_FILE": str(self.directory / "result.json"),
        }

    def run(
        self, services: dict[str, Any] | None = None, *arguments: str, **variables: Any
    ) -> Result:
        kept = self.directory / "result.json"
        kept.unlink(missing_ok=True)
        done = subprocess.run(
            self.command({"described": services or {}, **variables}, *arguments),
            cwd=ROOT,
            env=self.env(),
            text=True,
            capture_output=True,
            timeout=240,
            check=False,
        )
        data = json.loads(kept.read_text()) if kept.exists() else {}
        return Result(done.returncode, done.stdout + done.stderr, data)

    def run_and_kill(self, services: dict[str, Any], after_seconds: float) -> None:
        """Start a run and kill it with everything it started."""
        process = subprocess.Popen(
            self.command({"described": services}),
            cwd=ROOT,
            env=self.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(after_seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pid in children_of(str(self.home)):  # modules run in sessions of their own
            os.kill(pid, signal.SIGKILL)

    def containers(self) -> dict[str, dict[str, Any]]:
        ids = docker(
            "ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}"
        ).split()
        details = json.loads(docker("inspect", *ids)) if ids else []
        return {d["Config"]["Labels"]["com.docker.compose.service"]: d for d in details}

    def state(self) -> dict[str, tuple[str, str]]:
        """What must not change when nothing was to be done: ids and start times."""
        return {name: (d["Id"], d["State"]["StartedAt"]) for name, d in self.containers().items()}

    def destroy(self) -> None:
        self.run(stack_state="absent", stack_remove_data=True)


def children_of(marker: str) -> list[int]:
    """Processes whose command line names ``marker``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker in (entry / "cmdline").read_bytes().decode(
                errors="replace"
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], text=True, capture_output=True, check=True).stdout


def web(image: str, text: str = "hello", /, **compose: Any) -> dict[str, Any]:
    """A web server that serves its configuration file."""
    return {
        "compose": {
            "image": image,
            "user": "1000:1000",
            "command": ["httpd", "-f", "-p", "8080", "-h", "/srv"],
            "networks": ["edge"],
            "stop_grace_period": "1s",
            "healthcheck": {
                "test": ["CMD", "wget", "-q", "-O-", "http://127.0.0.1:8080/index.html"],
                "interval": "1s",
                "retries": 2,
                "start_period": "3s",
                "start_interval": "1s",
            },
            **compose,
        },
        "files_dir": "/srv",
        "files": {"index.html": text},
    }


def reloadable(
    image: str, text: str = "one", reload: str = "true", **compose: Any
) -> dict[str, Any]:
    """The same, re-reading its file on a command; what it has loaded is in /tmp."""
    definition = web(image, text, **compose)
    definition["compose"]["command"] = [
        "sh",
        "-c",
        "cp /srv/current/index.html /tmp/ && exec httpd -f -p 8080 -h /tmp",
    ]
    definition["compose"]["tmpfs"] = ["/tmp:uid=1000"]
    return {
        **definition,
        "reload": ["sh", "-c", f"cp -f /srv/current/index.html /tmp/ && {reload}"],
    }
