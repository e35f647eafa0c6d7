# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an existing unit of Ollama says, and the texts that are written beside it. Pure; private to this collection."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import paths
from ansible_collections.gpubox.llm.plugins.module_utils._runner import TaskError

__all__ = [
    "MARK",
    "check",
    "drop_in",
    "environment",
    "environment_files",
    "masked",
    "profile",
    "settings",
    "unit",
    "variables",
]

MARK = "# Written by gpubox.llm.ollama_native"
RESERVED = {
    "OLLAMA_HOST": "it listens on the address of Docker's bridge, at the port that is asked for",
    "OLLAMA_MODELS": "the directory of the models is an option of its own",
}
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")

UNIT = """\
{mark}; what is set up beside it: {drop_in}
[Unit]
Description=Ollama
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={binary} serve
User={user}
Group={user}

[Install]
WantedBy=multi-user.target
"""

# The settings are a file, because a file outranks what any unit sets, and nobody but root reads it.
# A boot without Docker ends: each start waits half a minute, the next follows.
DROP_IN = """\
{mark}. Settings are in {settings}.
[Unit]
After=docker.service nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
StartLimitIntervalSec=0

[Service]
User={user}
Group={user}
Restart=always
RestartSec=3
EnvironmentFile={settings}
ExecStartPre=/bin/sh -c 'n=30; until {ip} -4 -o address show dev {bridge} 2>/dev/null | grep -qF " {address}/"; do \
n=$$((n - 1)); [ $$n -gt 0 ] || {{ echo "{bridge} does not have {address}: is Docker running?" >&2; exit 1; }}; \
sleep 1; done'
ExecStartPre=+{nft} -f {table}
ExecStart=
ExecStart={binary} serve
ExecReload=+{nft} -f {table}
"""

PROFILE = """\
{mark}: the command ollama finds the server of this box.
export OLLAMA_HOST="${{OLLAMA_HOST:-{address}:{port}}}"
"""


def environment(texts: Sequence[str]) -> dict[str, str]:
    """Return what ``Environment=`` of a unit and its drop-ins, in systemd's order, comes to."""
    result: dict[str, str] = {}
    for value in _values(texts, "Environment"):
        if not value:
            result.clear()
        for word in _split(value):
            name, equals, content = word.partition("=")
            if equals:
                result[name] = content.replace("%%", "%")
    return result


def environment_files(texts: Sequence[str]) -> list[str]:
    """Return the ``EnvironmentFile=`` of a unit and its drop-ins, in systemd's order."""
    result: list[str] = []
    for value in _values(texts, "EnvironmentFile"):
        result = [*result, value.lstrip("-")] if value else []
    return result


def variables(text: str) -> dict[str, str]:
    """Read an environment file."""
    result = {}
    for line in text.replace("\\\n", "").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            result[name.strip()] = _plain(value.strip())
    return result


def _plain(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r'\\(["\\$`])', r"\1", value[1:-1])
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value


def _values(texts: Sequence[str], name: str) -> Iterator[str]:
    for text in texts:
        section = ""
        for line in map(str.strip, re.sub(r"\\\n\s*", " ", text).splitlines()):
            if line.startswith("["):
                section = line
            key, equals, value = line.partition("=")
            if equals and section == "[Service]" and key.strip() == name:
                yield value.strip()


def _split(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return []  # systemd ignores such a line, too


def check(wanted: Mapping[str, str]) -> None:
    """Refuse settings that cannot be or are not to be set."""
    for name, value in wanted.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise TaskError(
                f"environment: {name!r} is no name of an environment variable. Use letters, digits and underscores."
            )
        if name in RESERVED:
            raise TaskError(f"environment: {name} cannot be set: {RESERVED[name]}. Remove it here.")
        if re.search(r"[\n\r\0]", value):
            raise TaskError(
                f"environment: the value of {name} has more than one line, which no unit can pass on. Make it one line."
            )


def settings(wanted: Mapping[str, str], address: str, port: int, models: str) -> str:
    """Return the file of settings; it has the last word over every other unit text."""
    every = {**wanted, "OLLAMA_HOST": f"{address}:{port}", "OLLAMA_MODELS": models}
    lines = [f'{name}="{_escaped(value)}"' for name, value in sorted(every.items())]
    return "\n".join([f"{MARK}.", *lines]) + "\n"


def _escaped(value: str) -> str:
    return re.sub(r'(["\\$`])', r"\\\1", value)


def drop_in(bridge: str, address: str, ip: str, nft: str) -> str:
    """Return the drop-in for Ollama's unit, whoever wrote that."""
    return DROP_IN.format(
        mark=MARK,
        settings=paths.SETTINGS,
        user=paths.USER,
        binary=paths.BINARY,
        table=paths.TABLE,
        bridge=bridge,
        address=address,
        ip=ip,
        nft=nft,
    )


def unit() -> str:
    """Return the unit for a box that has none."""
    return UNIT.format(mark=MARK, drop_in=paths.DROP_IN, binary=paths.BINARY, user=paths.USER)


def profile(address: str, port: int) -> str:
    """Return what tells people's shells where Ollama listens."""
    return PROFILE.format(mark=MARK, address=address, port=port)


def masked(text: str) -> str:
    """Hide in a text what may be secret: credentials inside URLs, values of variables that are named so."""
    text = re.sub(r"//[^/@\s\"]+@", "//********@", text)
    return re.sub(
        r"^(\w+)=(.+)$",
        lambda m: f"{m[1]}=********" if SECRET.search(m[1]) else m[0],
        text,
        flags=re.MULTILINE,
    )
