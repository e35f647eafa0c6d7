# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about models: names, providers, fallbacks, and what a private model may reach. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from ._fault import UNKNOWN, Fault, fault, listing
from ._site import Rule, Site, first, given, items, text

__all__ = ["PROVIDERS", "RULES", "deployments", "is_local", "models"]

Item = tuple[str, Mapping[str, Any]]


class Provider(NamedTuple):
    """What a deployment of this provider needs, and where it runs when no base_url says so."""

    needs: tuple[str, ...] = ()
    local: bool = False


PROVIDERS: Mapping[str, Provider] = {
    "mock": Provider((), local=True),
    "ollama": Provider(("model",), local=True),
    "openai_compatible": Provider(("model", "base_url")),
    "openai": Provider(("model", "api_key")),
    "anthropic": Provider(("model", "api_key")),
    "azure": Provider(("model", "api_key", "base_url")),
    "groq": Provider(("model", "api_key")),
    "litellm": Provider(("model",)),
}
_CURES: Mapping[str, str] = {
    "api_key": 'Set it, best from a vault: api_key: "{{ vault_%(provider)s_api_key }}".',
    "base_url": "Set it to the server's address, for example http://gpu1:8000/v1.",
    "model": "Set it to the model's name at the provider.",
}
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$")
_LOCAL_SUFFIXES = (".local", ".internal", ".lan", ".localhost", ".home.arpa", ".localdomain")
_CARRIER_NAT = ipaddress.ip_network("100.64.0.0/10")  # private overlay networks live here


def models(site: Site) -> list[Item]:
    return list(items(site.get("llm_models"), "llm_models"))


def deployments(path: str, model: Mapping[str, Any]) -> Iterator[Item]:
    """The deployments of a model; one written in short is its own deployment."""
    if given(model.get("deployments")):
        yield from items(model["deployments"], f"{path}.deployments")
    elif given(model.get("provider")):
        yield path, model


def _all_deployments(site: Site) -> Iterator[Item]:
    for path, model in models(site):
        yield from deployments(path, model)


def _params(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    params = deployment.get("params")
    return params if isinstance(params, Mapping) else {}


def _base_url(deployment: Mapping[str, Any]) -> Any:
    """Where a deployment's requests go; free parameters say it in LiteLLM's own words."""
    return first(
        _params(deployment).get("api_base"),
        _params(deployment).get("base_url"),
        deployment.get("base_url"),
    )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _host_is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host.rstrip(".") or host.rstrip(".").endswith(_LOCAL_SUFFIXES)
    return not address.is_global or address in _CARRIER_NAT


def is_local(deployment: Mapping[str, Any]) -> bool:
    """Whether requests to this deployment stay on the box or its private network."""
    provider = text(deployment.get("provider"))
    model = text(deployment.get("model"))
    if provider == "mock":
        return True
    if provider == "ollama" and re.search(r"[:-]cloud$", model):
        return False  # Ollama passes such models on to its own cloud
    url = _base_url(deployment)
    if url is None:
        return provider in PROVIDERS and PROVIDERS[provider].local
    parts = _split(text(url))
    return bool(parts and parts.hostname and _host_is_local(parts.hostname))


def names(site: Site) -> Iterator[Fault]:
    """A model's name is what clients ask for: plain, and the only one of its kind."""
    seen: dict[str, str] = {}
    for path, model in models(site):
        name = text(model.get("name"))
        where = f"{path}.name"
        if not name:
            continue
        if name == "default":
            yield fault(
                where,
                name,
                "This name is taken: the default model is served under it.",
                "Choose another name.",
            )
        elif not _NAME.match(name):
            yield fault(
                where,
                name,
                "Clients could not ask for it: a model's name has letters, digits and . _ : / @ + - only,"
                " and begins with a letter or digit.",
                "Choose a plain name, for example llama3.2.",
            )
        elif name in seen:
            yield fault(
                where,
                name,
                f"{seen[name]} has the same name.",
                "Rename one, or make both deployments of one model (deployments: [...]).",
            )
        seen.setdefault(name, path)


def form(site: Site) -> Iterator[Fault]:
    """A model either names a provider or lists deployments."""
    for path, model in models(site):
        if isinstance(model.get("deployments"), list) and not model["deployments"]:
            yield fault(
                f"{path}.deployments",
                UNKNOWN,
                "The list is empty.",
                "List a deployment, or set provider instead.",
            )
        elif given(model.get("deployments")) and given(model.get("provider")):
            yield fault(
                f"{path}.provider",
                model["provider"],
                "The model also lists deployments, and each of them names its own provider.",
                "Move it, with its model, base_url and api_key, into deployments.",
            )
        elif not given(model.get("deployments")) and not given(model.get("provider")):
            yield fault(
                f"{path}.provider",
                UNKNOWN,
                "It is required and not set: nothing says who serves this model.",
                f"Set it to one of {listing(PROVIDERS)}, or list deployments.",
            )


def provider_fields(site: Site) -> Iterator[Fault]:
    """Every provider gets what it cannot work without."""
    for path, deployment in _all_deployments(site):
        provider = text(deployment.get("provider"))
        for name in PROVIDERS.get(provider, Provider()).needs:
            value = _base_url(deployment) if name == "base_url" else deployment.get(name)
            if not given(value) and not (
                name == "api_key" and given(_params(deployment).get("api_key"))
            ):
                yield fault(
                    f"{path}.{name}",
                    UNKNOWN,
                    f"It is not set, and provider {provider} needs it.",
                    _CURES[name] % {"provider": provider},
                )
        yield from _free_provider(path, deployment)


def _free_provider(path: str, deployment: Mapping[str, Any]) -> Iterator[Fault]:
    model = text(deployment.get("model"))
    if (
        deployment.get("provider") == "litellm"
        and model
        and not re.match(r"^[a-z0-9_]+/\S+$", model)
    ):
        yield fault(
            f"{path}.model",
            model,
            "With provider litellm it names LiteLLM's provider and the model.",
            "Write it as provider/model, for example bedrock/anthropic.claude-sonnet-4.",
        )


def base_urls(site: Site) -> Iterator[Fault]:
    """A base URL is one that LiteLLM's container can call."""
    for path, deployment in _all_deployments(site):
        url = text(deployment.get("base_url"))
        if url:
            yield from _url_faults(f"{path}.base_url", url)


def _url_faults(path: str, url: str) -> Iterator[Fault]:
    parts = _split(url)
    if (
        not parts
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or re.search(r"\s", url)
    ):
        yield fault(
            path,
            url,
            "It is not a web address.",
            "Write it as http://host:port/path or https://host/path.",
        )
    elif parts.username or parts.password:
        yield fault(
            path,
            url,
            "It carries a user name or password, which would be logged.",
            "Set api_key instead.",
        )
    elif parts.query or parts.fragment:
        yield fault(
            path,
            url,
            "It has a query or fragment (? or #).",
            "Remove that; extra parameters go into params.",
        )
    elif (
        parts.hostname == "localhost"
        or parts.hostname.startswith("127.")
        or parts.hostname == "::1"
    ):
        yield fault(
            path,
            url,
            "LiteLLM runs in a container, where this address is the container itself.",
            "Write host.docker.internal for a server on this machine, or the name of a service of the stack.",
        )


def same_deployment_twice(site: Site) -> Iterator[Fault]:
    """Two equal deployments under one name are a mistake in copying, not load balancing."""
    for path, model in models(site):
        seen: dict[tuple[str, ...], str] = {}
        for where, one in deployments(path, model):
            same = tuple(
                repr(one.get(name))
                for name in ("provider", "model", "base_url", "api_key", "params")
            )
            if same in seen and one.get("provider") != "mock":
                yield fault(
                    where,
                    UNKNOWN,
                    f"It is the same deployment as {seen[same]}: same provider, model, address and key.",
                    "Remove one; a larger share of the requests is what weight is for.",
                )
            seen.setdefault(same, where)


RULES: tuple[Rule, ...] = (names, form, provider_fields, base_urls, same_deployment_twice)
