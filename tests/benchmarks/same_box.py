# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A box of twelve services, and the same one as variables of the idiomatic playbook, read from what stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from tests.rig.box import Box

# With LiteLLM and the proxy: twelve.
STAND_INS = (
    *("alertmanager", "flowise", "grafana", "n8n", "ollama"),
    *("open_webui", "pgadmin", "postgres", "prometheus", "redis"),
)
PACKAGES = (
    *(
        "ca-certificates",
        "containerd",
        "docker-buildx",
        "docker-cli",
        "docker-compose",
        "docker.io",
    ),
    *("nftables", "python3-docker", "python3-requests", "python3-yaml"),
)
HOST_FILES = (
    "/etc/apt/preferences.d/gpubox-trixie",
    "/etc/apt/sources.list.d/gpubox-trixie.sources",
    "/etc/docker/daemon.json",
    "/etc/gpubox/lan.nft",
    "/etc/systemd/system/gpubox-lan.service",
)
SERVICES = "/opt/gpubox/services"


def full_box(image: str) -> dict[str, Any]:
    """Ten small services with two files and a secret each, as `stack_services`."""
    compose = {
        "image": image,
        "user": "1000:1000",
        "command": ["httpd", "-f", "-p", "8080", "-h", "/www"],
        "networks": {"data": {}, "model": {}},
        "read_only": True,
        "init": True,  # a shell's httpd as first process would take ten seconds to stop
        "mem_limit": "64m",
        "pids_limit": 32,
        "healthcheck": {
            "test": ["CMD", "true"],
            "interval": "30s",
            "start_period": "10s",  # only within it is the start interval used
            "start_interval": "1s",
        },
    }
    return {
        name: {
            "compose": compose,
            "files": {f"{name}.conf": f"# {name}\n" * 40, "rules.conf": "allow all\n" * 40},
            "files_dir": "/etc/app",
            "secrets": {"token": {"variable": f"{name}_token", "generate": {"length": 40}}},
        }
        for name in STAND_INS
    }


def idiomatic_variables(box: Box) -> dict[str, Any]:
    """What the idiomatic playbook needs to make this box once more."""
    project = yaml.safe_load(box.host.sh("cat /opt/gpubox/compose.yaml"))
    networks = {
        network["name"]: "true"
        in box.host.sh(f"docker network inspect -f '{{{{.Internal}}}}' {network['name']}")
        for network in project["networks"].values()
    }
    services = {
        name: _service(box, name, definition, project["networks"])
        for name, definition in project["services"].items()
    }
    host_files = {path: box.host.sh(f"cat {path}") for path in HOST_FILES}
    return {
        "packages": list(PACKAGES),
        "host_files": host_files,
        "networks": networks,
        "services": services,
    }


def _service(
    box: Box, name: str, definition: dict[str, Any], known: dict[str, Any]
) -> dict[str, Any]:
    """One service in a directory of its own: ``files`` and ``secrets`` beside its compose file."""
    owner = int(definition["user"].split(":")[0])
    directories: list[dict[str, Any]] = []
    contents: dict[str, list[dict[str, Any]]] = {"files": [], "secrets": []}
    for volume in definition.get("volumes", []):
        kind = volume["source"].split("/")[5]
        for path in box.host.sh(f"cd {volume['source']} && find -L . -type f").split():
            text = box.host.sh(f"cat {volume['source']}/{path}")
            entry = {"path": f"{kind}/{path.removeprefix('./')}", "content": text, "owner": owner}
            contents[kind].append(entry)
        volume["source"] = f"./{kind}"
    for parent in sorted({e["path"].rsplit("/", 1)[0] for es in contents.values() for e in es}):
        directories.append({"path": parent, "owner": owner})
    used = {key: known[key] for key in definition["networks"]}
    top = [{"path": "", "owner": 0}]
    return {"compose": definition, "networks": used, "directories": top + directories, **contents}


def what_runs(box: Box) -> dict[str, Any]:
    """Every container with what it is made of and what it sees in its mounts."""
    return {name: _essence(container) for name, container in box.containers().items()}


def _essence(container: dict[str, Any]) -> dict[str, Any]:
    config, host = container["Config"], container["HostConfig"]
    return {
        "image": container["Image"],
        "command": [
            config["Entrypoint"],
            config["Cmd"],
            config["User"],
            sorted(config["Env"] or []),
        ],
        "held": [
            host.get(key) for key in ("CapDrop", "ReadonlyRootfs", "Memory", "PidsLimit", "Tmpfs")
        ],
        "ports": host["PortBindings"],
        "mounts": sorted(mount["Destination"] for mount in container["Mounts"]),
        "networks": sorted(container["NetworkSettings"]["Networks"]),
        "health": container["State"]["Health"]["Status"],
    }
