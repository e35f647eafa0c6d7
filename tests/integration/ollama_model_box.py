# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Ollama in a container as the role has it, ollama_model as a user calls it, a registry that keeps count."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rig import model_registry
from tests.rig.commands import ROOT, run, succeeds
from tests.rig.images import upstream_image

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
USER = "65533:65533"
# What the role sets besides: the container has no way out, a read-only root and no capability.
HARDENED = (
    *("--user", USER, "--read-only", "--cap-drop", "ALL", "--pids-limit", "512"),
    *("--security-opt", "no-new-privileges:true", "--tmpfs", "/tmp:uid=65533,gid=65533,mode=0700"),
    *("--env", "OLLAMA_MODELS=/models", "--env", "OLLAMA_NOPRUNE=1", "--env", "HOME=/tmp"),
)


@dataclass
class Result:
    rc: int
    output: str
    data: dict[str, Any]

    @property
    def changed(self) -> bool:
        return bool(self.data.get("changed"))

    @property
    def message(self) -> str:
        return str(self.data.get("msg", ""))

    @property
    def actions(self) -> dict[str, str]:
        return {model["name"]: model["action"] for model in self.data["models"]}

    @property
    def digests(self) -> dict[str, str]:
        return {model["name"]: model["digest"] for model in self.data["models"]}


@dataclass
class Front:
    """The rig's mirror behind an nginx of its own, which writes down what it sends."""

    name: str
    host: str
    mirror: model_registry.Mirror
    _seen: int = 0

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def asked(self) -> list[tuple[str, str, int]]:
        """Method, path and bytes of every request since this was asked last."""
        time.sleep(0.2)  # a request that was cut is written down once nginx notices
        lines = run("docker", "logs", self.name).splitlines()
        new, self._seen = lines[self._seen :], len(lines)
        found = [re.fullmatch(r"asked (\S+) (\S+) \d+ (\d+)", line) for line in new]
        return [(match[1], match[2], int(match[3])) for match in found if match]


@contextmanager
def front(rate: str = "0") -> Iterator[Front]:
    """A front that sends each answer with at most ``rate`` (as nginx writes it) bytes a second; 0 is without limit."""
    mirror = model_registry.up()
    port, name = model_registry.PORT + secrets.randbelow(1000) + 10, f"ollm-{secrets.token_hex(3)}"
    text = (model_registry.DIRECTORY / "nginx.conf").read_text()
    text = text.replace(str(model_registry.PORT), str(port)).replace(f":{port + 1}", ":STORE")
    text = text.replace(":STORE", f":{model_registry.PORT + 1}")
    log = "log_format asked 'asked $request_method $uri $status $body_bytes_sent';"
    text = text.replace("http {", f"http {{ {log} access_log /dev/stdout asked; limit_rate {rate};")
    configuration = model_registry.DIRECTORY / f"{name}.conf"
    configuration.write_text(text)
    mounts = (
        *("--volume", f"{configuration}:/etc/nginx/nginx.conf:ro"),
        *("--volume", f"{model_registry.DIRECTORY / 'tls'}:/etc/nginx/tls:ro"),
    )
    image = upstream_image(model_registry.NGINX)
    run("docker", "run", "--detach", "--network", "host", "--name", name, *mounts, image)
    try:
        yield Front(name, f"{mirror.host.partition(':')[0]}:{port}", mirror)
    finally:
        run("docker", "rm", "--force", name)
        configuration.unlink()


@dataclass
class Box:
    """One container with its volume and its internal network."""

    name: str
    directory: Path
    front: Front
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def puller(self) -> str:
        return f"{self.name}-puller"

    @property
    def models_dir(self) -> Path:
        template = "{{range .Mounts}}{{.Source}}{{end}}"
        return Path(run("docker", "inspect", "--format", template, self.name).strip())

    def up(self, image: str, megabytes: int = 0) -> None:
        run("docker", "network", "create", "--internal", self.name)
        small = ("type=tmpfs", "device=tmpfs", f"o=size={megabytes}m") if megabytes else ()
        options = (word for option in small for word in ("--opt", option))
        run("docker", "volume", "create", *options, self.name)
        prepare = ("--user", "0", "--entrypoint", "chown", "--network", "none")
        run("docker", "run", "--rm", *prepare, *self._volume, image, "-R", USER, "/models")
        start = ("docker", "run", "--detach", "--name", self.name, "--network", self.name)
        run(*start, *HARDENED, *self._volume, image)

    @property
    def _volume(self) -> tuple[str, str]:
        return ("--volume", f"{self.name}:/models")

    def destroy(self) -> None:
        run("docker", "rm", "--force", "--volumes", self.puller, self.name)
        run("docker", "network", "rm", self.name)
        run("docker", "volume", "rm", "--force", self.name)
        Path(f"/run/gpubox-{self.puller}.lock").unlink(missing_ok=True)

    # -- the module ------------------------------------------------------------------------------------------

    def start(self, models: list[dict[str, Any]], *flags: str, **options: Any) -> Run:
        """Begin a run of ollama_model."""
        arguments = {
            "container": self.name,
            "registry_mirror": self.front.url,
            "ca_file": str(self.front.mirror.ca),
            "min_free_bytes": 0,
            **self.options,
            **options,
            "models": models,
        }
        return Run(self, "ollama_model", arguments, flags)

    def run(self, models: list[dict[str, Any]], *flags: str, **options: Any) -> Result:
        return self.start(models, *flags, **options).wait()

    def have(self, *names: str, **options: Any) -> Result:
        """A run for these names that has to end well."""
        result = self.run([{"name": name} for name in names], **options)
        assert result.rc == 0, result.output
        return result

    def info(self) -> dict[str, Any]:
        result = Run(self, "ollama_model_info", {"container": self.name}, ()).wait()
        assert result.rc == 0, result.output
        return result.data

    # -- the server ------------------------------------------------------------------------------------------

    def ollama(self, *words: str) -> str:
        return run("docker", "exec", self.name, "ollama", *words)

    def answer(self, model: str) -> str:
        """A completion from the model; it is noise, but it is one."""
        return self.ollama("run", model, "Say something")

    def blobs(self) -> set[str]:
        return {path.name for path in (self.models_dir / "blobs").iterdir()}

    def files_of(self, model: str) -> list[Path]:
        """The files that a model of the default registry consists of."""
        manifest = self.models_dir / "manifests/registry.ollama.ai/library" / model / "latest"
        data = json.loads(manifest.read_text())
        digests = [part["digest"] for part in [data["config"], *data["layers"]]]
        return [manifest, *(self.models_dir / "blobs" / one.replace(":", "-") for one in digests)]

    def registry_traffic(self) -> list[tuple[str, str, int]]:
        return self.front.asked()

    @contextmanager
    def no_puller(self) -> Iterator[None]:
        """There is none, not even for a moment."""
        since = str(time.time())
        yield
        window = ("--since", since, "--until", str(time.time()))
        only = ("--filter", f"container={self.puller}")
        assert run("docker", "events", *window, *only) == ""

    def has_puller(self) -> bool:
        return succeeds("docker", "container", "inspect", self.puller)

    def networks_of_puller(self) -> set[str]:
        template = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
        return set(run("docker", "inspect", "--format", template, self.puller).split())

    def received(self) -> int:
        """Bytes that the puller has received; 0 if there is none."""
        with suppress(RuntimeError):
            text = run("docker", "exec", self.puller, "cat", "/proc/net/dev")
            return sum(int(n) for n in re.findall(r"eth\d+:\s*(\d+)", text))
        return 0


class Run:
    """A playbook with one task, as a user would start it."""

    def __init__(
        self, box: Box, module: str, arguments: dict[str, Any], flags: tuple[str, ...]
    ) -> None:
        place = box.directory / secrets.token_hex(4)
        place.mkdir()
        task = {f"gpubox.llm.{module}": arguments}
        play = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
        (place / "play.yml").write_text(json.dumps(play))
        self._box, self._kept = box, place / "result.json"
        python = ("-e", "ansible_python_interpreter=/usr/bin/python3")
        self._process = subprocess.Popen(
            [
                ANSIBLE_PLAYBOOK,
                "-i",
                "localhost,",
                "-c",
                "local",
                *python,
                place / "play.yml",
                *flags,
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/integration/callbacks"),
                "ANSIBLE_CALLBACKS_ENABLED": "results",
                "RESULTS_TASK": f"gpubox.llm.{module}",
                "RESULTS_FILE": str(self._kept),
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self) -> Result:
        output, _unused = self._process.communicate(timeout=180)
        data = json.loads(self._kept.read_text()) if self._kept.exists() else {}
        return Result(self._process.returncode, output, data)

    def kill(self) -> None:
        """End it with everything that it started, the module among it, which nothing can catch."""
        lock = Path(f"/run/gpubox-{self._box.puller}.lock").read_text()
        match = re.match(r"process (\d+),", lock)
        assert match, lock
        os.killpg(self._process.pid, signal.SIGKILL)
        os.kill(int(match[1]), signal.SIGKILL)
        self._process.communicate()


def eventually(true: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``true`` returns once that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")
