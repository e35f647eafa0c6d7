# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about services that users add or change. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._stack.service import DEFINITION_KEYS
from ._fault import UNKNOWN, Fault, did_you_mean, fault, listing
from ._site import NAME, Rule, Site, given, strings

__all__ = ["RULES"]

_RELATIVE = re.compile(r"^(?!/)(?!(.*/)?\.\.?(/|\Z))[^\0\r\n]+\Z")
_NOT_IN_COMPOSE: Mapping[str, str] = {
    "build": "Build the image elsewhere and name it in image.",
    "container_name": "Remove it; more names on the networks go into networks.<name>.aliases.",
    "env_file": "Use environment for settings, and secrets beside compose for secrets.",
    "secrets": "Write secrets beside compose, not inside it.",
    "configs": "Write files beside compose, not inside it.",
}


def own_services(site: Site) -> Iterator[Fault]:
    """A user's own service is complete, and none of ours."""
    for name, definition in site.mapping("stack_services").items():
        path = f"stack_services.{name}"
        if name in site.services:
            yield fault(
                path,
                UNKNOWN,
                f"The service {name} is described by its role.",
                "Change it in stack_overrides.",
            )
        elif not NAME.match(str(name)):
            yield fault(
                path,
                UNKNOWN,
                "A service's name has lower-case letters, digits, - and _ only.",
                "Rename it.",
            )
        if not isinstance(definition, Mapping):
            yield fault(
                path, definition, "It is not a mapping.", "Describe the service in a key compose."
            )
            continue
        yield from _definition_keys(path, definition)
        yield from _own_compose(path, definition.get("compose"))
        yield from _own_files(path, definition)


def _definition_keys(path: str, definition: Mapping[str, Any]) -> Iterator[Fault]:
    for key in definition:
        if key not in DEFINITION_KEYS:
            cure = (
                did_you_mean(key, DEFINITION_KEYS) or "Move what Compose understands below compose."
            )
            yield fault(
                f"{path}.{key}",
                UNKNOWN,
                f"There is no such key here; the keys are {listing(DEFINITION_KEYS)}.",
                cure,
            )
    compose = definition.get("compose")
    for key, cure in _NOT_IN_COMPOSE.items():
        if isinstance(compose, Mapping) and given(compose.get(key)):
            yield fault(f"{path}.compose.{key}", UNKNOWN, "It cannot be used in the stack.", cure)


def _own_compose(path: str, compose: Any) -> Iterator[Fault]:
    where = f"{path}.compose"
    if not isinstance(compose, Mapping):
        yield fault(
            where,
            UNKNOWN,
            "It is required: the service as Compose describes it.",
            "Set image, user and healthcheck.",
        )
        return
    if not given(compose.get("image")):
        yield fault(
            f"{where}.image",
            UNKNOWN,
            "It is required and not set.",
            "Name an image with a fixed version.",
        )
    user = compose.get("user")
    if user is not UNKNOWN and not re.match(r"^\d+:\d+\Z", str(user)):
        yield fault(
            f"{where}.user",
            user if given(user) else UNKNOWN,
            "It must be a numeric uid:gid, which owns the service's files and secrets.",
            'Write it in quotes, for example "1000:1000".',
        )
    check = compose.get("healthcheck")
    if check is not UNKNOWN and not (isinstance(check, Mapping) and given(check.get("test"))):
        yield fault(
            f"{where}.healthcheck.test",
            UNKNOWN,
            "It is required and not set: without a health check a crash loop counts as healthy.",
            "Give a command that fails when the service does not work.",
        )


def _own_files(path: str, definition: Mapping[str, Any]) -> Iterator[Fault]:
    files, secrets = definition.get("files"), definition.get("secrets")
    for name, content in files.items() if isinstance(files, Mapping) else ():
        where = f"{path}.files.{name}"
        if not _RELATIVE.match(str(name)):
            cure = "Write it like conf.d/site.conf; files_dir says where the directory is mounted."
            yield fault(
                where, UNKNOWN, "A file's name is relative and stays inside its directory.", cure
            )
        elif not isinstance(content, str) and content is not UNKNOWN:
            yield fault(
                where,
                content,
                "It is not text.",
                "Write the file's content, for example with | and indented lines.",
            )
    for name, source in secrets.items() if isinstance(secrets, Mapping) else ():
        where = f"{path}.secrets.{name}"
        if "/" in str(name) or not _RELATIVE.match(str(name)):
            yield fault(
                where, UNKNOWN, "A secret's name is a plain file name.", "Write it without a slash."
            )
        elif source is not UNKNOWN and not (
            isinstance(source, Mapping)
            and (given(source.get("variable")) or given(source.get("generate")))
        ):
            cure = "Write {variable: NAME_OF_A_VARIABLE}, or {generate: {length: 32}} to have it made on the box."
            yield fault(where, UNKNOWN, "Nothing says where its value comes from.", cure)


def service_networks(site: Site) -> Iterator[Fault]:
    """Own services and overrides join networks that exist in the stack."""
    known = list(site.mapping("stack_networks"))
    for variable in ("stack_services", "stack_overrides"):
        for name, definition in site.mapping(variable).items():
            compose = definition.get("compose") if isinstance(definition, Mapping) else None
            joined = compose.get("networks") if isinstance(compose, Mapping) else None
            for network in joined if isinstance(joined, (list, Mapping)) else ():
                if known and isinstance(network, str) and network not in known:
                    cure = (
                        did_you_mean(network, known)
                        or "Name one of these; an existing one goes into stack_external_networks."
                    )
                    path = f"{variable}.{name}.compose.networks"
                    yield fault(
                        f"{path}.{network}",
                        UNKNOWN,
                        f"No such network; the stack has {listing(known)}.",
                        cure,
                    )


def overrides(site: Site) -> Iterator[Fault]:
    """An override changes a service that is there."""
    known = site.all_services
    for name, definition in site.mapping("stack_overrides").items():
        path = f"stack_overrides.{name}"
        if known and name not in known:
            cure = did_you_mean(name, known) or "Name one of these."
            yield fault(path, UNKNOWN, f"No such service; there are {listing(known)}.", cure)
        elif isinstance(definition, Mapping):
            yield from _definition_keys(path, definition)
        elif definition is not UNKNOWN:
            yield fault(
                path,
                definition,
                "It is not a mapping.",
                "Write what changes, for example compose: {mem_limit: 2g}.",
            )


def external_networks(site: Site) -> Iterator[Fault]:
    """An existing network is joined by services that are there."""
    known = site.all_services
    for network, joined in site.mapping("stack_external_networks").items():
        path = f"stack_external_networks.{network}"
        if isinstance(joined, (list, tuple)):
            for where, name in strings(joined, path):
                if known and name not in known:
                    cure = did_you_mean(name, known) or "Name one of these."
                    yield fault(where, name, f"No such service; there are {listing(known)}.", cure)
        elif joined is not UNKNOWN:
            yield fault(
                path,
                joined,
                "It is not a list.",
                "List the services that join it, for example [litellm].",
            )


RULES: tuple[Rule, ...] = (own_services, service_networks, overrides, external_networks)
