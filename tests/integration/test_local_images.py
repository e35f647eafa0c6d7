# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images pulled, loaded and built on a real engine: small ones, from real packages."""

from __future__ import annotations

import io
import json
import os
import secrets
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.rig.images import busybox, system_image
from tests.rig.registry import SERVE, SETUP

ROOT = Path(__file__).resolve().parents[2]
KEY = ROOT / "roles/local_images/files/debian-archive-key.asc"
NOWHERE = "http://127.0.0.1:9/debian"  # refuses every connection
LABEL = "gpubox.llm.recipe"
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - gpubox.llm.local_image: "{{ arguments }}"
"""


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], text=True, capture_output=True, check=True).stdout


def image(reference: str) -> dict[str, Any]:
    """What the engine knows of an image; empty if it is not there."""
    done = subprocess.run(
        ["docker", "image", "inspect", reference], text=True, capture_output=True, check=False
    )
    return json.loads(done.stdout)[0] if done.returncode == 0 else {}


def recipe(script: str = "echo '==> making a page'; mkdir /www; cp page /www/") -> dict[str, Any]:
    return {
        "suite": "trixie",
        "packages": ["busybox-static"],
        "script": script,
        "files": {"page": "hello"},
        "config": ['CMD ["sleep", "60"]', "STOPSIGNAL SIGQUIT", 'LABEL colour="light blue"'],
        "megabytes": 80,
    }


@dataclass
class Answer:
    rc: int
    output: str
    data: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.data.get("msg", ""))

    def action(self, reference: str) -> str:
        return self.data["images"][reference]["action"]


@dataclass
class Box:
    directory: Path
    names: list[str] = field(default_factory=list)

    def name(self) -> str:
        self.names.append(f"local-images-test/{secrets.token_hex(4)}:1")
        return self.names[-1]

    def start(self, arguments: dict[str, Any], *options: str) -> tuple[Any, Path]:
        """Start a run; where its result will be."""
        directory = self.directory / secrets.token_hex(4)
        directory.mkdir()
        (directory / "play.yml").write_text(PLAY)
        fixed = {
            "debian_keyring": KEY.read_text(),
            "work_dir": str(self.work),
            "archive_dir": str(self.archive),
        }
        variables = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "arguments": {**fixed, **arguments},
        }
        (directory / "variables.json").write_text(json.dumps(variables))
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        extra = f"@{directory / 'variables.json'}"
        process = subprocess.Popen(
            [program, "-i", "localhost,", str(directory / "play.yml"), "-e", extra, *options],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/integration/callbacks"),
                "ANSIBLE_CALLBACKS_ENABLED": "results",
                "RESULTS_TASK": "gpubox.llm.local_image",
                "RESULTS_FILE": str(directory / "result.json"),
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return process, directory / "result.json"

    def finish(self, started: tuple[Any, Path]) -> Answer:
        process, kept = started
        output = process.communicate(timeout=400)[0]
        data = json.loads(kept.read_text()) if kept.exists() else {}
        return Answer(process.returncode, output, data)

    def run(self, arguments: dict[str, Any], *options: str) -> Answer:
        return self.finish(self.start(arguments, *options))

    @property
    def work(self) -> Path:
        return self.directory / "work"

    @property
    def archive(self) -> Path:
        return self.directory / "archive"

    def archives(self) -> list[str]:
        return sorted(path.name for path in self.archive.glob("*"))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    for directory in tmp_path, *tmp_path.parents[:2]:
        directory.chmod(0o755)  # apt downloads as a user of its own
    made = Box(tmp_path)
    made.work.mkdir()
    yield made
    for name in made.names:
        subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A plain registry on loopback."""
    config = tmp_path_factory.mktemp("registry") / "registry.yml"
    config.write_text(
        'version: "0.1"\nstorage: {filesystem: {rootdirectory: /tmp}}\nhttp: {addr: ":5000"}\n'
    )
    made = system_image("registry", "bookworm", ("docker-registry",), SETUP, SERVE)
    name = f"local-images-test-{secrets.token_hex(4)}"
    docker(
        *("run", "-d", "--name", name, "-p", "127.0.0.1::5000", "-v", f"{config}:/registry.yml:ro"),
        made,
    )
    try:
        yield docker("port", name, "5000").strip()
    finally:
        docker("rm", "-f", name)


def files_of(reference: str) -> dict[str, bytes]:
    """The regular files of an image."""
    container = docker("create", reference, "true").strip()
    try:
        exported = subprocess.run(["docker", "export", container], capture_output=True, check=True)
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(exported.stdout)) as archive:
        opened = {member.name: archive.extractfile(member) for member in archive if member.isreg()}
        return {name: stream.read() for name, stream in opened.items() if stream}


def test_the_life_of_an_image(box: Box) -> None:
    name = box.name()
    wanted = {"images": [name], "mode": "local", "recipes": {name: recipe()}}

    # Check mode predicts and writes nothing.
    predicted = box.run(wanted, "--check", "--diff")
    assert (predicted.action(name), predicted.data["changed"]) == ("built", True)
    assert predicted.data["rebuilt"] == [name]
    assert f"+{name}: built" in predicted.output
    assert (image(name), list(box.work.iterdir()), box.archives()) == ({}, [], [])

    # Two runs at once: one builds, the other waits and uses what was built.
    both = [box.finish(started) for started in [box.start(wanted), box.start(wanted)]]
    assert sorted(answer.action(name) for answer in both) == ["built", "present"]
    assert any("waiting for another run" in answer.output for answer in both)
    assert any("making a page" in answer.output for answer in both)
    built = image(name)
    assert built["Config"]["Cmd"] == ["sleep", "60"]
    assert built["Config"]["StopSignal"] == "SIGQUIT"
    assert built["Config"]["Labels"]["colour"] == "light blue"
    assert list(box.work.iterdir()) == []

    # Nothing of this machine stays in it.
    files = files_of(name)
    assert files["www/page"] == b"hello"
    assert not [path for path in files if path.startswith(("build/", "etc/apt/sources.list"))]
    assert not [path for path, content in files.items() if str(box.work).encode() in content]

    # Again: nothing to do, and no trace of the work.
    again = box.run(wanted)
    assert (again.action(name), again.data["changed"], again.data["rebuilt"]) == (
        "present",
        False,
        [],
    )
    assert image(name)["Id"] == built["Id"]

    # The engine lost it and there is no network: it comes back from the archive.
    (archive,) = box.archives()
    docker("rmi", name)
    loaded = box.run({**wanted, "debian_mirror": NOWHERE})
    assert (loaded.rc, loaded.action(name), image(name)["Id"]) == (0, "loaded", built["Id"])

    # The recipe changes: predicted, killed half way, and then really done.
    changed = {**wanted, "recipes": {name: recipe("mkdir /changed; touch /changed/yes")}}
    assert box.run(changed, "--check").data["rebuilt"] == [name]
    process, _rest = box.start(changed)
    wait_for(lambda: any(box.work.glob("*/mmdebstrap*")))
    kill_hard(process, f"mmdebstrap.*{box.work}")
    assert image(name)["Id"] == built["Id"]
    rebuilt = box.run(changed)
    assert (rebuilt.rc, rebuilt.action(name), rebuilt.data["rebuilt"]) == (0, "rebuilt", [name])
    assert image(name)["Id"] != built["Id"]
    assert list(box.work.iterdir()) == []
    assert len(box.archives()) == 1
    assert archive not in box.archives()


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_hard(process: Any, marker: str) -> None:
    """Kill a run and its module, as a lost connection or the kernel would; what the module started lives on."""
    found = subprocess.run(["pgrep", "-f", marker], text=True, capture_output=True, check=True)
    parents = [Path(f"/proc/{pid}/stat").read_text().split()[3] for pid in found.stdout.split()]
    (module,) = [pid for pid in parents if "python" in Path(f"/proc/{pid}/comm").read_text()]
    os.killpg(process.pid, signal.SIGKILL)
    os.kill(int(module), signal.SIGKILL)
    process.communicate()


def test_a_recipe_that_fails_names_image_step_and_last_lines(box: Box) -> None:
    name = box.name()
    script = "echo '==> testing the page'; echo 'the page is torn' >&2; exit 3"
    answer = box.run({"images": [name], "mode": "local", "recipes": {name: recipe(script)}})
    assert answer.rc != 0
    assert name in answer.message
    assert "failed while testing the page" in answer.message
    assert "the page is torn" in answer.message
    assert (image(name), list(box.work.iterdir()), box.archives()) == ({}, [], [])


def test_an_unreachable_mirror_is_named_with_the_cure_and_no_password(box: Box) -> None:
    name = box.name()
    answer = box.run(
        {
            "images": [name],
            "mode": "local",
            "recipes": {name: recipe()},
            "debian_mirror": NOWHERE.replace("://", "://me:canary@"),
        }
    )
    assert answer.rc != 0
    assert "http://***@127.0.0.1:9/debian" in answer.message
    assert "local_images_debian_mirror" in answer.message
    assert "canary" not in answer.output
    assert (image(name), list(box.work.iterdir())) == ({}, [])


def test_no_space_is_seen_before_anything_is_built(box: Box) -> None:
    name = box.name()
    huge = {**recipe(), "megabytes": 10**9}
    answer = box.run({"images": [name], "mode": "local", "recipes": {name: huge}})
    assert answer.rc != 0
    assert "no space to build the images" in answer.message
    assert image(name) == {}


@pytest.mark.parametrize("place", ["work_dir", "ca_file"])
def test_a_place_that_is_not_there_is_named(box: Box, place: str) -> None:
    name = box.name()
    nowhere = str(box.directory / "nowhere")
    wanted = {"images": [name], "mode": "local", "recipes": {name: recipe()}, place: nowhere}
    assert f"local_images_{place}: {nowhere} is no" in box.run(wanted).message
    assert image(name) == {}


def test_an_image_that_cannot_be_had_is_said_before_anything_is_done(box: Box) -> None:
    there, missing = box.name(), "127.0.0.1:9/nobody/knows:1"
    answer = box.run({"images": [there, missing], "recipes": {there: recipe()}})
    assert answer.rc != 0
    assert f"{missing}: not on this box, its registry does not give it" in answer.message
    assert image(there) == {}


def test_auto_pulls_what_the_registry_has_and_never_replaces_it(box: Box, registry: str) -> None:
    name = f"{registry}/local-images-test/web:1"
    box.names.append(name)
    docker("tag", busybox(), name)
    docker("push", name)
    docker("rmi", name)
    wanted = {"images": [name], "mode": "auto", "recipes": {name: recipe()}}

    predicted = box.run(wanted, "--check")
    assert (predicted.action(name), image(name)) == ("pulled", {})

    pulled = box.run(wanted)
    assert (pulled.action(name), pulled.data["rebuilt"]) == ("pulled", [name])
    assert LABEL not in (image(name)["Config"]["Labels"] or {})

    again = box.run(wanted)
    assert (again.action(name), again.data["changed"], box.archives()) == ("present", False, [])
