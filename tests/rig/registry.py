# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container registry that answers under the names of the real ones, behind a company CA of its own.

A host whose /etc/hosts sends the upstream names here and which trusts the CA pulls ``nginx:1.30.6`` and
``ghcr.io/...`` unchanged: the whole pull path of the roles, TLS and company CA included.
"""

from __future__ import annotations

import json
import shlex
import time
from typing import TYPE_CHECKING

from tests.rig.commands import CACHE, cache_lock, own, run, succeeds
from tests.rig.images import system_image

if TYPE_CHECKING:
    from pathlib import Path

NAME = own("registry-server")
UPSTREAM = ("ghcr.io", "registry-1.docker.io")
STORAGE = CACHE / "registry"
TLS = CACHE / "registry-tls"
CA = TLS / "ca.crt"
CONFIG = {
    "version": "0.1",
    "storage": {"filesystem": {"rootdirectory": "/registry"}},
    "http": {
        "addr": "0.0.0.0:443",
        "tls": {"certificate": "/tls/server.crt", "key": "/tls/server.key"},
    },
}
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650")
SETUP = (f"echo {shlex.quote(json.dumps(CONFIG))} > /registry.yml",)
SERVE = 'CMD ["docker-registry", "serve", "/registry.yml"]'


def up() -> dict[str, str]:
    """Start it where it does not run; returns the upstream names and the address that stands for them."""
    with cache_lock("registry-service"):
        _make_certificates()
        image = system_image("registry", "bookworm", ("docker-registry",), SETUP, SERVE)
        if not succeeds("docker", "exec", NAME, "true"):
            run("docker", "rm", "--force", NAME)
            STORAGE.mkdir(parents=True, exist_ok=True)
            run(
                *("docker", "run", "--detach", "--init", "--name", NAME),
                *("--volume", f"{TLS}:/tls:ro", "--volume", f"{STORAGE}:/registry"),
                *("--publish", "127.0.0.1::443", image),
            )
            time.sleep(1)  # it listens at once or ends at once
        template = "{{.NetworkSettings.IPAddress}}"
        address = run("docker", "inspect", "--format", template, NAME).strip()
        if not address:
            raise RuntimeError(f"{NAME} ended: {run('docker', 'logs', NAME)}")
        return dict.fromkeys(UPSTREAM, address)


def push(name: str) -> None:
    """Put an image of this machine's engine into it, under the same name there."""
    up()
    # An engine asks no certificate of a registry on loopback.
    place = run("docker", "port", NAME, "443/tcp").strip()
    run("docker", "tag", name, f"{place}/{name}")
    try:
        run("docker", "push", "--quiet", f"{place}/{name}")
    finally:
        run("docker", "rmi", f"{place}/{name}")


def down() -> None:
    """Stop it; what was pushed stays for the next time."""
    run("docker", "rm", "--force", NAME)


def certificate(directory: Path, names: tuple[str, ...]) -> None:
    """``server.crt`` and ``server.key`` of the same CA, for ``DNS:`` and ``IP:`` names."""
    with cache_lock("registry-service"):
        _make_certificates()
        _sign(CA, directory, names)


def _make_certificates() -> None:
    """A CA as a company has one, and a certificate of it for the upstream names."""
    if CA.exists():
        return
    TLS.mkdir(parents=True, exist_ok=True)
    authority = TLS / "new.crt"
    run(
        *("openssl", "req", "-x509", *KEY, "-subj", "/CN=gpubox test company CA"),
        *("-keyout", TLS / "ca.key", "-out", authority),
    )
    _sign(authority, TLS, tuple(f"DNS:{name}" for name in UPSTREAM))
    authority.rename(CA)


def _sign(authority: Path, directory: Path, names: tuple[str, ...]) -> None:
    run(
        *("openssl", "req", "-x509", *KEY, "-CA", authority, "-CAkey", TLS / "ca.key"),
        *("-subj", "/CN=registry", "-addext", f"subjectAltName={','.join(names)}"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-keyout", directory / "server.key", "-out", directory / "server.crt"),
    )
