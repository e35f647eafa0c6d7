# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about Ollama: where it runs, and what its models are made of. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .._ollama.names import Name, OllamaError, is_loopback
from ._fault import UNKNOWN, Fault, fault
from ._image import image_problem
from ._models import deployments, models, split_url
from ._site import Rule, Site, first, given, is_true, items, text

__all__ = ["RULES"]

_CHECKSUM = re.compile(r"^sha256:[0-9a-f]{64}\Z")
_MADE = ("file", "system", "template", "parameters", "adapters", "quantize")


class _Model(NamedTuple):
    """A model that this box's Ollama is asked for; ``path`` is that of its name."""

    path: str
    name: str
    options: Mapping[str, Any]
    options_path: str


def _wanted(site: Site) -> Iterator[_Model]:
    """Every model that the role hands to Ollama, as its own template does it."""
    for where, model in models(site):
        for one in deployments(where, model):
            if one.provider == "ollama" and not given(one.get("base_url")):
                field = "model" if given(one.get("model")) else "name"
                own = one.get("ollama")
                options = {**(own if isinstance(own, Mapping) else {}), "digest": one.get("digest")}
                name = text(first(one.get("model"), one.model.get("name")))
                yield _Model(one.at(field), name, options, one.at("ollama"))
    for path, model in items(site.get("ollama_models"), "ollama_models"):
        yield _Model(f"{path}.name", text(model.get("name")), model, path)


def _hosts(site: Site) -> set[str]:
    listed = site.get("ollama_registries")
    hosts = {str(host).lower() for host in listed} if isinstance(listed, (list, tuple)) else set()
    mirror = split_url(text(site.get("ollama_registry_mirror")))
    return hosts | ({mirror.netloc.lower()} if mirror else set())


def names(site: Site) -> Iterator[Fault]:
    """A model's name is one that Ollama understands, at a registry that is allowed."""
    for model in _wanted(site):
        if not model.name:
            continue
        try:
            name = Name.parse(model.name)
        except OllamaError as error:
            reason, _unused, cure = str(error).partition(". ")
            yield fault(model.path, model.name, f"{reason}.", f"{cure}.")
            continue
        made = any(given(model.options.get(key)) for key in ("from", "file"))
        absent = model.options.get("state") == "absent"
        if name.host.lower() not in _hosts(site) and not made and not absent:
            reason = f"Its registry {name.host} is not one that models may come from."
            yield fault(
                model.path, model.name, reason, "Add it to ollama_registries, if you trust it."
            )


def twice(site: Site) -> Iterator[Fault]:
    """One model is made in one way, however many names the gateway gives it."""
    seen: dict[str, _Model] = {}
    for model in _wanted(site):
        try:
            name = Name.parse(model.name).full.lower()
        except OllamaError:
            continue
        other = seen.setdefault(name, model)
        if _plain(other.options) != _plain(model.options):
            reason = f"{other.path} names the same model and says something else about it."
            yield fault(
                model.path, model.name, reason, "Let both say the same, or name it only once."
            )


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if given(value) and key != "name"}


def made(site: Site) -> Iterator[Fault]:
    """What a model is made of is either one thing or the other, and nothing is made of a pinned download."""
    for model in _wanted(site):
        options, where = model.options, model.options_path
        sources = [key for key in ("from", "file") if given(options.get(key))]
        if sources == ["from", "file"]:
            yield fault(
                f"{where}.file", options["file"], "from is set as well.", "Keep one of the two."
            )
        for key in _MADE:
            if given(options.get(key)) and not sources:
                reason = "It belongs to a model that is made here, and nothing says of what."
                yield fault(
                    f"{where}.{key}", UNKNOWN, reason, "Set from or file beside it, or remove it."
                )
        if given(options.get("digest")) and sources:
            reason = "The digest of a model that is made here is known only afterwards."
            yield fault(
                model.path, model.name, reason, "Remove digest, or pin the model named in from."
            )
        yield from _files(where, options)


def _files(where: str, options: Mapping[str, Any]) -> Iterator[Fault]:
    adapters = options.get("adapters")
    paths = [(f"{where}.file", options.get("file"))]
    if isinstance(adapters, (list, tuple)):
        paths += [(f"{where}.adapters[{index}]", path) for index, path in enumerate(adapters)]
    for path, value in paths:
        if text(value) and not text(value).startswith(("/", "~")):
            yield fault(
                path, value, "It is not an absolute path on the box.", "Write it from / on."
            )


def placement(site: Site) -> Iterator[Fault]:
    """What a placement needs is there, and nothing is set that it does not read."""
    where, url = site.get("ollama_placement"), text(site.get("ollama_url"))
    if where == "external" and not given(site.get("ollama_url")):
        yield fault(
            "ollama_url",
            UNKNOWN,
            "It is not set, and ollama_placement is external.",
            "Set it to the server's address, for example http://192.168.1.20:11434.",
        )
    elif url and where != "external":
        reason = f"Nothing reads it: ollama_placement is {where}."
        cure = "Remove it, or set ollama_placement: external."
        yield fault("ollama_url", url, reason, cure)
    elif (parts := split_url(url)) and is_loopback(parts.netloc):
        reason = "LiteLLM runs in a container, where this address is the container itself."
        cure = "Set ollama_placement: native for Ollama on the box, or write an address that containers reach."
        yield fault("ollama_url", url, reason, cure)
    if where == "native":
        yield from _native(site)


def _native(site: Site) -> Iterator[Fault]:
    checksum = text(site.get("ollama_archive_checksum"))
    if not _CHECKSUM.match(checksum):
        reason = (
            "It is not a checksum: sha256: and 64 digits from 0 to f."
            if checksum
            else "It is not set, and ollama_placement is native: nothing says which archive is the right one."
        )
        cure = "Copy it from sha256sum.txt on the release's page: sha256:<64 digits>."
        yield fault("ollama_archive_checksum", checksum or UNKNOWN, reason, cure)


def version(site: Site) -> Iterator[Fault]:
    """What runs is not known to be unsafe, unless the user says that it has to be."""
    if is_true(site.get("ollama_allow_insecure_version")):
        return
    value = text(site.get("ollama_version"))
    problem = image_problem(f"ollama/ollama:{value}") if value else None
    if problem:
        reason, cure = problem
        cure = f"{cure} To run it all the same, set ollama_allow_insecure_version: true."
        yield fault("ollama_version", value, reason, cure)


def gpu(site: Site) -> Iterator[Fault]:
    """A container reaches an AMD GPU through the groups that own its devices."""
    if site.get("ollama_gpu") == "amd" and not given(site.get("ollama_gpu_groups")):
        yield fault(
            "ollama_gpu_groups",
            UNKNOWN,
            "It is not set, and ollama_gpu is amd: the container could not open the GPU's devices.",
            "List the numbers that `getent group render video` shows on the box.",
        )
    kind = site.get("ollama_kv_cache_type")
    if kind in ("q8_0", "q4_0") and site.get("ollama_flash_attention") == "off":
        reason = "It needs flash attention, and ollama_flash_attention is off."
        cure = "Set ollama_flash_attention to on, or remove one of the two."
        yield fault("ollama_kv_cache_type", kind, reason, cure)


def mirror(site: Site) -> Iterator[Fault]:
    """What a mirror sends is protected on its way."""
    url = text(site.get("ollama_registry_mirror"))
    parts = split_url(url)
    if not parts:
        return
    if parts.scheme == "http" and not is_loopback(parts.netloc):
        reason = "Without TLS anybody on the way can send another model."
        yield fault(
            "ollama_registry_mirror", url, reason, "Give it a certificate and write https://."
        )
    if parts.path not in ("", "/"):
        reason = "Ollama asks registries at the root of their address."
        yield fault("ollama_registry_mirror", url, reason, "Write it as https://host:port.")


RULES: tuple[Rule, ...] = (names, twice, made, placement, version, gpu, mirror)
