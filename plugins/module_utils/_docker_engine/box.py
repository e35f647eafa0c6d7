# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What docker_host changes on a box beside the engine: trust in a CA, the drop of LAN traffic. Private."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine import lan as _lan
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.daemon import (
    HostError,
    version_tuple,
)
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.host import (
    Engine,
    Host,
    read,
    write,
)

__all__ = ["TRUST", "Changes", "ca_mark", "keep_lan_out", "trust"]

TRUST = (  # the command that rebuilds the bundle, where it takes certificates from, the bundle
    (
        "update-ca-certificates",
        "/usr/local/share/ca-certificates/gpubox-company.crt",
        "/etc/ssl/certs/ca-certificates.crt",
    ),
    (
        "update-ca-trust",
        "/etc/pki/ca-trust/source/anchors/gpubox-company.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ),
)


class Changes:
    """Collects what is done; in check mode it is only said."""

    def __init__(self, check_mode: bool) -> None:
        self.dry = check_mode
        self.actions: list[str] = []
        self.diff: list[dict[str, str]] = []

    def act(self, what: str) -> bool:
        """Note an action and tell whether it is to be carried out."""
        self.actions.append(what)
        return not self.dry

    def file(self, path: str, before: str | None, after: str, mode: int = 0o644) -> None:
        """Write a file whose text is not ``before``."""
        shown = [re.sub(r"//[^/@\s\"]+@", "//********@", text) for text in (before or "", after)]
        self.diff.append(
            {"before_header": path, "after_header": path, "before": shown[0], "after": shown[1]}
        )
        if self.act(f"write {path}"):
            write(path, after, mode)

    def result(self) -> dict[str, Any]:
        """Return what the module says of the changes."""
        steps = [text for text in self.actions if not text.startswith("write ")]
        prepared = [{"prepared": "\n".join(steps) + "\n"}] if steps else []
        return {
            "changed": bool(self.actions),
            "actions": self.actions,
            "diff": self.diff + prepared,
        }


def trust(host: Host, pem: str, changes: Changes) -> None:
    """Make the box trust the company's CA, or no longer trust one that is not given any more."""
    command, path, bundle = next((row for row in TRUST if shutil.which(row[0])), TRUST[0])
    text, mine = pem.strip() + "\n" if pem.strip() else None, read(path)
    if text and ("-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY-----" in text):
        raise HostError(
            f"docker_host_ca_file: {text.splitlines()[0][:60]!r} is neither PEM certificates nor a controller file "
            "that holds them and nothing else."
        )
    if text == mine and _trusted(bundle, text):
        return
    if mine is None and text and _trusted(bundle, text):
        return  # somebody else has made the box trust it
    if text:
        changes.file(path, mine, text)
    elif changes.act(f"remove {path}"):
        os.unlink(path)
    if shutil.which(command) and changes.act(f"run {command}"):
        host.command(command)


def _trusted(bundle: str, text: str | None) -> bool:
    known, asked = (re.sub(r"\s", "", pem or "") for pem in (read(bundle), text))
    return all(body in known for body in re.findall(r"BEGINCERTIFICATE-+(.+?)-+END", asked))


def ca_mark() -> str:
    """Return what changes with the certificates that this role made the box trust."""
    return "".join(
        hashlib.sha256((read(row[1]) or "").encode()).hexdigest()
        for row in TRUST
        if os.path.exists(row[1])
    )


def keep_lan_out(
    host: Host, engine: str | None, config: Mapping[str, Any], wanted: bool, changes: Changes
) -> None:
    """Load the drop where the version of the ``engine`` needs it and it is ``wanted``; else remove it."""
    if not wanted or not _lan.needed(version_tuple(engine), config):
        _lan_remove(host, changes)
        return
    text = _lan.rules(_lan.networks(config, Engine().get("/networks") or []))
    files = {_lan.PATH: text}
    if host.init == "systemd":
        files[_lan.UNIT_PATH] = _lan.UNIT_TEXT
    stale = {path: new for path, new in files.items() if read(path) != new}
    for path, new in stale.items():
        changes.file(path, read(path), new)
    if host.init == "systemd" and _lan.UNIT_PATH in stale and not changes.dry:
        host.command("systemctl", "daemon-reload")
        host.command("systemctl", "enable", _lan.UNIT)
    listing = host.try_command("nft", "list", "table", *_lan.TABLE.split())[1]
    if not _lan.in_force(listing, text) and changes.act("load the drop of LAN traffic"):
        _load(host)


def _load(host: Host) -> None:
    try:
        host.command("nft", "-f", _lan.PATH)
        if host.init == "systemd":
            host.command("systemctl", "start", _lan.UNIT)
    except HostError as error:
        raise HostError(
            f"docker_host_lan_drop: this kernel does not take the rules that keep the LAN from containers: {error} "
            "Use Docker Engine 28 or newer, which needs none, or set docker_host_lan_drop: false on a trusted network."
        ) from error


def _lan_remove(host: Host, changes: Changes) -> None:
    there = [path for path in (_lan.PATH, _lan.UNIT_PATH) if os.path.exists(path)]
    if not there or not changes.act("remove the drop of LAN traffic"):
        return
    if host.init == "systemd":
        host.try_command("systemctl", "disable", "--now", _lan.UNIT)
    host.try_command("nft", "delete", "table", *_lan.TABLE.split())
    for path in there:
        os.unlink(path)
