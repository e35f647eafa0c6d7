# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clone that pulls: what it has of the service's container and what not; one run at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._docker import EngineError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import container, puller

SEEN: dict[str, Any] = {
    "Id": "f00",
    "Name": "/gpubox-ollama-1",
    "Config": {
        "Image": "ollama/ollama:0.35.0",
        "User": "1000:1000",
        "Env": ["OLLAMA_MODELS=/models", "HOME=/tmp", "OLLAMA_HOST=127.0.0.1:9", "HTTPS_PROXY=old"],
        "Labels": {"com.docker.compose.project": "gpubox"},
        "Healthcheck": {"Test": ["CMD", "ollama", "list"]},
    },
    "HostConfig": {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "SecurityOpt": ["no-new-privileges:true"],
        "Memory": 4096,
        "PidsLimit": 256,
        "Tmpfs": {"/tmp": ""},
        "RestartPolicy": {"Name": "unless-stopped"},
        "PortBindings": {"11434/tcp": [{"HostPort": "11434"}]},
        "DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}],
        "NetworkMode": "gpubox_model",
        "Privileged": False,
    },
    "NetworkSettings": {"Networks": {"gpubox_model": {"IPAddress": "172.18.0.2"}}},
}


def cloned(**options: Any) -> dict[str, Any]:
    given = {"image": "", "network": "gpubox_egress", "environment": {}, **options}
    return puller.clone(SEEN, **given)


def environment(config: dict[str, Any]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in config["Env"])


def test_a_clone_has_user_mounts_limits_and_hardening() -> None:
    config = cloned()
    host = config["HostConfig"]
    assert (config["User"], config["Image"]) == ("1000:1000", "ollama/ollama:0.35.0")
    assert host["VolumesFrom"] == ["f00"]
    for key in ("ReadonlyRootfs", "CapDrop", "SecurityOpt", "Memory", "PidsLimit", "Tmpfs"):
        assert host[key] == SEEN["HostConfig"][key]


def test_a_clone_is_on_its_own_network_only_and_publishes_nothing() -> None:
    host = cloned()["HostConfig"]
    assert host["NetworkMode"] == "gpubox_egress"
    assert not {"PortBindings", "RestartPolicy", "DeviceRequests", "Privileged"} & set(host)


def test_a_clone_ends_with_its_only_client_and_removes_itself() -> None:
    config = cloned()
    assert config["OpenStdin"] and config["StdinOnce"] and config["HostConfig"]["AutoRemove"]


def test_a_clone_is_no_part_of_the_compose_project() -> None:
    assert cloned()["Labels"] == {"gpubox.llm.puller": "gpubox-ollama-1"}


def test_the_environment_is_that_of_the_service_with_what_is_given() -> None:
    found = environment(cloned(environment={"HTTPS_PROXY": "http://proxy:3128"}))
    assert found == {
        "OLLAMA_MODELS": "/models",
        "HOME": "/tmp",
        "HTTPS_PROXY": "http://proxy:3128",
        "OLLAMA_HOST": "0.0.0.0:11434",
        "OLLAMA_NOPRUNE": "1",
    }
    assert environment(cloned(prune=True))["OLLAMA_NOPRUNE"] == "0"


def test_a_ca_file_is_mounted_and_trusted() -> None:
    config = cloned(ca_file="/etc/company.pem")
    (mount,) = config["HostConfig"]["Mounts"]
    assert (mount["Source"], mount["ReadOnly"]) == ("/etc/company.pem", True)
    assert environment(config)["SSL_CERT_FILE"] == mount["Target"]


def test_without_a_ca_file_the_box_says_whom_to_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca-certificates.crt"
    monkeypatch.setattr(puller, "BUNDLES", (str(tmp_path / "none"), str(bundle)))
    assert puller.Puller(container="x", network="y")._ca_file == ""
    bundle.touch()
    assert puller.Puller(container="x", network="y")._ca_file == str(bundle)
    assert puller.Puller(container="x", network="y", ca_file="/own")._ca_file == "/own"


def test_another_image_can_pull() -> None:
    assert cloned(image="ollama/ollama:0.36.0")["Image"] == "ollama/ollama:0.36.0"


@pytest.mark.parametrize(
    ("listens", "networks", "url"),
    [
        ([], {"a": {"IPAddress": ""}, "b": {"IPAddress": "10.0.0.2"}}, "http://10.0.0.2:11434"),
        (["OLLAMA_HOST=0.0.0.0:8080"], {"a": {"IPAddress": "10.0.0.2"}}, "http://10.0.0.2:8080"),
        (["OLLAMA_HOST=0.0.0.0"], {"host": {"IPAddress": ""}}, "http://127.0.0.1:11434"),
    ],
)
def test_a_container_is_reached_at_its_address(
    listens: list[str], networks: dict[str, Any], url: str
) -> None:
    seen = {"Config": {"Env": listens}, "NetworkSettings": {"Networks": networks}}
    assert container.url_of(seen) == url


@pytest.mark.parametrize(
    ("inside", "found"),
    [("/models", "/vol/_data"), ("/models/deep", "/vol/_data/deep"), ("/elsewhere", None)],
)
def test_models_are_found_in_the_mount_that_holds_them(inside: str, found: str | None) -> None:
    mounts = [
        {"Destination": "/", "Source": ""},
        {"Destination": "/models", "Source": "/vol/_data"},
    ]
    seen = {"Config": {"Env": [f"OLLAMA_MODELS={inside}"]}, "Mounts": mounts}
    assert container._models(seen) == found


def test_models_are_in_the_home_directory_unless_said_otherwise() -> None:
    mounts = [{"Destination": "/root/.ollama", "Source": "/vol/_data"}]
    seen = {"Config": {"Env": ["HOME=/root"]}, "Mounts": mounts}
    assert container._models(seen) == "/vol/_data/models"


def test_a_second_run_waits_and_says_who_is_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(puller, "LOCK", f"{tmp_path}/{{name}}.lock")
    said: list[str] = []
    with puller._lock("x-puller", 0, said.append):
        words = r"another run \(process \d+, since .*more than 1 s"
        with pytest.raises(EngineError, match=words), puller._lock("x-puller", 1, said.append):
            pass
        with puller._lock("y-puller", 0, said.append):
            pass
    with puller._lock("x-puller", 0, said.append):
        pass
    (line,) = said
    assert line.startswith("waiting for another run that is pulling models (process ")
