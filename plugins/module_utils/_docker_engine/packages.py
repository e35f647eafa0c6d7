# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which packages bring Docker Engine onto which distribution. Pure; private to this collection."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.daemon import (
    HostError,
    version_tuple,
)

__all__ = ["Distribution", "Offer", "Urls", "check_key", "distribution", "offer", "os_release"]

DEB_KEY = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
RPM_KEY = "060A61C51B558A7F742B77AAC52FEB6B621E9F35"
CE = (
    "docker-ce",
    "docker-ce-cli",
    "containerd.io",
    "docker-buildx-plugin",
    "docker-compose-plugin",
)
DEBIAN = ("docker.io", "containerd", "docker-cli", "docker-compose", "docker-buildx")
UBUNTU = ("docker.io", "docker-compose-v2", "docker-buildx")

TRIXIE_PIN = """\
# Docker Engine of Debian 13, whose packages run on Debian 12; nothing else comes from there by itself.
Package: {packages}
Pin: release n=trixie*
Pin-Priority: 990

Package: *
Pin: release n=trixie*
Pin-Priority: 100
"""


@dataclass(frozen=True)
class Urls:
    """Where packages come from; a company names its mirrors."""

    docker: str
    debian: str
    debian_security: str


@dataclass(frozen=True)
class Distribution:
    """What the package tables need to know of an operating system."""

    id: str
    version: str
    codename: str
    manager: str  # apt or dnf
    name: str


@dataclass(frozen=True)
class Offer:
    """The packages of one source, with what makes the package manager find them."""

    source: str
    engine: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    key: Mapping[str, str] = field(default_factory=dict)  # url, fingerprint, dest
    needle: str = ""  # a source that has this in its text offers these packages already

    def plugin(self, name: str) -> str:
        """Return the package that brings the CLI plugin ``name``."""
        return next(package for package in self.engine if name in package)


def os_release(text: str) -> dict[str, str]:
    """Read /etc/os-release."""
    pairs = re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)
    return {key: value.strip().strip("\"'") for key, value in pairs}


def distribution(release: Mapping[str, str]) -> Distribution:
    """Name the distribution by the one whose packages it uses: Mint is Ubuntu, Rocky Linux is CentOS."""
    own = release.get("ID", "")
    base = _base(own, release.get("ID_LIKE", "").split())
    codename = release.get("VERSION_CODENAME", "")
    if base == "ubuntu":
        codename = release.get("UBUNTU_CODENAME", codename)
    version = (
        release.get("VERSION_ID", "") if base == own else ""
    )  # a derivative counts its own way
    manager = {"debian": "apt", "ubuntu": "apt", "": ""}.get(base, "dnf")
    name = release.get("PRETTY_NAME", own or "an unknown system")
    return Distribution(base, version, codename, manager, name)


def _base(own: str, like: Sequence[str]) -> str:
    if "ubuntu" in (own, *like):
        return "ubuntu"
    if own in ("debian", "fedora", "rhel"):
        return own
    return "centos" if own in ("centos", "ol") or "rhel" in like else ""


def offer(system: Distribution, source: str, urls: Urls) -> Offer:
    """Return where ``system`` gets the engine from; ``source`` is auto, docker or distribution."""
    if system.manager == "dnf":
        if source == "distribution":
            raise HostError(
                f"docker_host_source: distribution - {system.name} has no packages of Docker Engine. "
                "Use docker_host_source: docker."
            )
        return _docker_rpm(system, urls)
    if not system.manager or not system.codename:
        raise HostError(
            f"docker_host knows no packages of Docker Engine for {system.name}. Install Docker Engine and Compose v2 "
            "yourself; an engine that is there is used as it is."
        )
    if source == "docker":
        return _docker_deb(system, urls)
    return _own(system, urls)


def _own(system: Distribution, urls: Urls) -> Offer:
    version = version_tuple(system.version)
    if system.id == "ubuntu" and (not version or version >= (22,)):
        return Offer("distribution", UBUNTU)
    if system.id == "debian" and (not version or version >= (13,)):
        return Offer("distribution", DEBIAN)
    if system.id == "debian" and version >= (12,):
        files = {
            "/etc/apt/sources.list.d/gpubox-trixie.sources": _trixie(urls),
            "/etc/apt/preferences.d/gpubox-trixie": TRIXIE_PIN.format(packages=" ".join(DEBIAN)),
        }
        return Offer("distribution", DEBIAN, files, needle=r"\btrixie\b")
    raise HostError(
        f"docker_host_source: {system.name} has no Docker Engine that is new enough. "
        "Upgrade the distribution, or install Docker Engine 25 or newer yourself."
    )


def _trixie(urls: Urls) -> str:
    suites = [(urls.debian, "trixie"), (urls.debian_security, "trixie-security")]
    return "\n".join(
        f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        for url, suite in suites
        if url
    )


def _docker_deb(system: Distribution, urls: Urls) -> Offer:
    base = f"{urls.docker.rstrip('/')}/{system.id}"
    dest = "/etc/apt/keyrings/gpubox-docker.asc"
    text = f"Types: deb\nURIs: {base}\nSuites: {system.codename}\nComponents: stable\nSigned-By: {dest}\n"
    return Offer(
        "docker",
        CE,
        {"/etc/apt/sources.list.d/gpubox-docker.sources": text},
        {"url": f"{base}/gpg", "fingerprint": DEB_KEY, "dest": dest},
        re.escape(base) + r"/?\s",
    )


def _docker_rpm(system: Distribution, urls: Urls) -> Offer:
    base = f"{urls.docker.rstrip('/')}/{system.id}"
    dest = "/etc/pki/rpm-gpg/RPM-GPG-KEY-gpubox-docker"
    text = (
        "[gpubox-docker]\nname=Docker CE\nenabled=1\ngpgcheck=1\n"
        f"baseurl={base}/$releasever/$basearch/stable\ngpgkey=file://{dest}\n"
    )
    return Offer(
        "docker",
        CE,
        {"/etc/yum.repos.d/gpubox-docker.repo": text},
        {"url": f"{base}/gpg", "fingerprint": RPM_KEY, "dest": dest},
        re.escape(base) + "/",
    )


def check_key(armored: str, fingerprint: str, url: str) -> str:
    """Return the armored block of ``armored`` if it holds exactly the one key that ``fingerprint`` names.

    A package manager trusts every key of the file, so one more key is as bad as a wrong one.
    """
    blocks = re.findall(
        r"-----BEGIN PGP PUBLIC KEY BLOCK-----.*?-----END PGP PUBLIC KEY BLOCK-----",
        armored,
        re.DOTALL,
    )
    found = sorted(_fingerprints(blocks[0])) if len(blocks) == 1 else []
    if found != [fingerprint]:
        what = ", ".join(found) or f"{len(blocks)} key blocks"
        raise HostError(
            f"docker_host_repository_url: {url} is not the signing key of Docker's repository: expected the one key "
            f"{fingerprint}, found {what}. Name a mirror that passes the key on unchanged."
        )
    return str(blocks[0]) + "\n"


def _fingerprints(block: str) -> Iterator[str]:
    """Yield the fingerprint of every primary key in an armored block (RFC 4880, 12.2)."""
    body = block.split("\n\n", 1)[-1].split("-----END", maxsplit=1)[0]
    lines = [line.strip() for line in body.splitlines()]
    try:
        data = base64.b64decode("".join(line for line in lines if line[:1] != "="), validate=True)
    except ValueError:
        return
    for tag, packet in _packets(data):
        if tag == 6:
            prefix = b"\x99" + len(packet).to_bytes(2, "big")
            digest = hashlib.sha1(prefix + packet)  # noqa: S324 - what a version 4 fingerprint is
            yield digest.hexdigest().upper()


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        header = data[position]
        if header & 0x40:
            tag, size, start = header & 0x3F, *_new_length(data, position + 1)
        else:
            width = 1 << (header & 3)
            start = position + 1 + width
            tag, size = (header >> 2) & 0xF, int.from_bytes(data[position + 1 : start], "big")
        yield tag, data[start : start + size]
        position = start + size


def _new_length(data: bytes, position: int) -> tuple[int, int]:
    first = data[position]
    if first < 192:
        return first, position + 1
    if first < 224:
        return ((first - 192) << 8) + data[position + 1] + 192, position + 2
    return int.from_bytes(data[position + 1 : position + 5], "big"), position + 5


def installed_source(package: str | None) -> str:
    """Name the source that an installed engine package came from, or nothing."""
    return {"docker-ce": "docker", "docker.io": "distribution"}.get(package or "", "")
