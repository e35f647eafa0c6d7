# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machine itself looks like afterwards, asked with testinfra."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import testinfra

if TYPE_CHECKING:
    from openai import OpenAI

    from tests.rig.box import Box


@pytest.fixture(scope="module")
def machine(box: Box) -> Any:
    return testinfra.get_host(f"docker://{box.host.container}")


@pytest.mark.parametrize("name", ["docker", "gpubox-lan"])
def test_service_survives_a_reboot(machine: Any, name: str) -> None:
    service = machine.service(name)
    assert service.is_running
    assert service.is_enabled


def test_gateway_listens_on_loopback_alone(machine: Any) -> None:
    assert machine.socket("tcp://127.0.0.1:8080").is_listening
    assert not machine.socket("tcp://0.0.0.0:8080").is_listening
    assert not machine.socket("tcp://:::8080").is_listening


def test_engine_and_compose_are_recent(machine: Any) -> None:
    """Engine 25 knows `start_interval`; Compose v2 is a plugin."""
    version = json.loads(machine.check_output("docker version --format '{{json .Server}}'"))
    assert int(version["Version"].split(".")[0]) >= 25
    assert machine.check_output("docker compose version --short").startswith("2.")


def test_nothing_but_the_engine_came_from_the_newer_release(machine: Any) -> None:
    assert machine.package("libc6").version.startswith("2.36-")
    assert machine.check_output("apt-get --simulate --quiet upgrade").count("trixie") == 0


def test_the_stack_is_a_plain_compose_project(machine: Any, services: dict[str, int]) -> None:
    listed = machine.check_output("cd /opt/gpubox && docker compose ps --format json")
    running = [json.loads(line) for line in listed.splitlines()]
    assert {one["Service"]: one["Health"] for one in running} == dict.fromkeys(services, "healthy")


@pytest.mark.parametrize("path", ["secrets", "services", ".key"])
def test_nobody_else_reads_the_private_parts(machine: Any, path: str) -> None:
    assert machine.file(f"/opt/gpubox/{path}").mode & 0o077 == 0
    with machine.sudo("box"):
        assert machine.run(f"cat /opt/gpubox/{path}/* /opt/gpubox/{path}").rc != 0


def test_a_reader_of_logs_finds_json(machine: Any, client: OpenAI) -> None:
    """One line a request from each hop, with the request's own identity."""
    client.chat.completions.create(model="mock", messages=[{"role": "user", "content": "Hello"}])
    for service in ("reverse_proxy", "litellm"):
        log = machine.check_output(
            f"cd /opt/gpubox && docker compose logs --no-log-prefix {service}"
        )
        # Compose may put a terminal's control characters before a line.
        lines = [json.loads(line[line.index("{") :]) for line in log.splitlines() if "{" in line]
        assert any(line.get("status") == 200 for line in lines), log[-2000:]
        assert any(line.get("request_id") for line in lines), log[-2000:]
