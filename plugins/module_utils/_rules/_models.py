# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about models: names, providers and what each provider needs, addresses. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from ._fault import UNKNOWN, Fault, fault, listing
from ._site import Rule, Site, first, given, items, text

__all__ = ["PROVIDERS", "RULES", "Deployment", "deployments", "is_local", "models", "split_url"]


class Provider(NamedTuple):
    """What a deployment of this provider needs, and where it runs when no base_url says so."""

    needs: tuple[str, ...] = ()
    local: bool = False


PROVIDERS: Mapping[str, Provider] = {
    "mock": Provider(local=True),
    "ollama": Provider(local=True),
    "openai_compatible": Provider(("base_url",)),
    "openai": Provider(("api_key",)),
    "anthropic": Provider(("api_key",)),
    "azure": Provider(("api_key", "base_url")),
    "groq": Provider(("api_key",)),
    "litellm": Provider(),
}
_CURES: Mapping[str, str] = {
    "api_key": 'Set it, best from a vault: api_key: "{{ vault_%(provider)s_api_key }}".',
    "base_url": "Set it to the server's address, for example http://gpu1:8000/v1.",
}
# LiteLLM's words in free parameters that say the same as ours.
_FREE: Mapping[str, tuple[str, ...]] = {
    "base_url": ("api_base", "base_url"),
    "api_key": ("api_key",),
}
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}\Z")
_LOCAL_SUFFIXES = (".local", ".internal", ".lan", ".localhost", ".home.arpa", ".localdomain")
_LOOPBACK = re.compile(r"^(localhost|127\..*|::1|0\.0\.0\.0)$")
_CARRIER_NAT = ipaddress.ip_network("100.64.0.0/10")  # private overlay networks live here


@dataclass(frozen=True)
class Deployment:
    """One deployment; what its model says holds for it too, unless it says otherwise."""

    path: str
    own: Mapping[str, Any]
    model_path: str
    model: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """The deployment's value, else its model's."""
        return first(self.own.get(name), self.model.get(name))

    def at(self, name: str) -> str:
        """Path of the value, or of where it is missing."""
        inherited = not given(self.own.get(name)) and given(self.model.get(name))
        return f"{self.model_path if inherited else self.path}.{name}"

    def effective(self, name: str) -> Any:
        """The value that LiteLLM gets; free parameters win."""
        params = self.get("params")
        free = params if isinstance(params, Mapping) else {}
        return first(*(free.get(word) for word in _FREE.get(name, ())), self.get(name))

    @property
    def provider(self) -> str:
        """The provider's name."""
        return text(self.get("provider"))


def models(site: Site) -> list[tuple[str, Mapping[str, Any]]]:
    """Path and content of every model."""
    return list(items(site.get("llm_models"), "llm_models"))


def deployments(path: str, model: Mapping[str, Any]) -> Iterator[Deployment]:
    """The deployments of a model; one written in short is its own deployment."""
    if given(model.get("deployments")):
        for where, own in items(model["deployments"], f"{path}.deployments"):
            yield Deployment(where, own, path, model)
    elif given(model.get("provider")):
        yield Deployment(path, model, path, model)


def _all_deployments(site: Site) -> Iterator[Deployment]:
    for path, model in models(site):
        yield from deployments(path, model)


def split_url(url: str) -> SplitResult | None:
    """The parts of a complete address; None if it is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port) else None
    except ValueError:
        return None


def _host_is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host.rstrip(".") or host.rstrip(".").endswith(_LOCAL_SUFFIXES)
    return not address.is_global or address in _CARRIER_NAT


def is_local(deployment: Deployment) -> bool:
    """Whether requests to this deployment stay on the box or its private network."""
    if deployment.provider == "mock":
        return True
    if deployment.provider == "ollama" and re.search(r"[:-]cloud$", text(deployment.get("model"))):
        return False  # Ollama passes such models on to its own cloud
    url = deployment.effective("base_url")
    if url is None:
        return PROVIDERS.get(deployment.provider, Provider()).local
    parts = split_url(text(url))
    return bool(parts and _host_is_local(str(parts.hostname)))


def names(site: Site) -> Iterator[Fault]:
    """A model's name is what clients ask for: plain, and the only one of its kind."""
    seen: dict[str, str] = {}
    for path, model in models(site):
        name = text(model.get("name"))
        if name:
            problem = _name_problem(name, seen)
            if problem:
                yield fault(f"{path}.name", name, *problem)
            seen.setdefault(name, path)


def _name_problem(name: str, seen: Mapping[str, str]) -> tuple[str, str] | None:
    if name == "default":
        return "It is taken: the default model is served under this name.", "Choose another name."
    if not _NAME.match(name):
        return (
            "A model's name has letters, digits and . _ : / @ + - only, and begins with a letter or digit.",
            "Choose a plain name, for example llama3.2.",
        )
    if name in seen:
        return (
            f"{seen[name]} has the same name.",
            "Rename one, or make both deployments of one model (deployments: [...]).",
        )
    return None


def form(site: Site) -> Iterator[Fault]:
    """Something says who serves a model."""
    cure = f"Set it to one of {listing(PROVIDERS)}."
    for path, model in models(site):
        listed = model.get("deployments")
        if isinstance(listed, list) and not listed:
            yield fault(
                f"{path}.deployments",
                UNKNOWN,
                "The list is empty.",
                "List a deployment, or remove the key and set provider.",
            )
        elif listed is None and not given(model.get("provider")):
            reason = (
                "It is not set, and no deployments are listed: nothing says who serves this model."
            )
            yield fault(f"{path}.provider", UNKNOWN, reason, cure)
        for one in deployments(path, model):
            if not given(one.get("provider")):
                yield fault(one.at("provider"), UNKNOWN, "It is required and not set.", cure)


def provider_fields(site: Site) -> Iterator[Fault]:
    """Every provider gets what it cannot work without."""
    for one in _all_deployments(site):
        for name in PROVIDERS.get(one.provider, Provider()).needs:
            if not given(one.effective(name)):
                yield fault(
                    one.at(name),
                    UNKNOWN,
                    f"It is not set, and provider {one.provider} needs it.",
                    _CURES[name] % {"provider": one.provider},
                )
        model = text(first(one.get("model"), one.model.get("name")))
        if one.provider == "litellm" and model and not re.match(r"^[a-z0-9_]+/\S+\Z", model):
            yield fault(
                one.at("model"),
                one.get("model") or UNKNOWN,
                "With provider litellm it names LiteLLM's provider and the model.",
                "Write it as provider/model, for example bedrock/anthropic.claude-sonnet-4.",
            )


def base_urls(site: Site) -> Iterator[Fault]:
    """A base URL is one that LiteLLM's container can call."""
    for one in _all_deployments(site):
        url = one.get("base_url")
        problem = _url_problem(str(url)) if isinstance(url, (str, int)) else None
        if problem:
            yield fault(one.at("base_url"), url, *problem)


def _url_problem(url: str) -> tuple[str, str] | None:
    parts = split_url(url)
    if not parts or parts.scheme not in ("http", "https") or re.search(r"\s", url):
        return "It is not a web address.", "Write it as http://host:port/path or https://host/path."
    if parts.username or parts.password:
        return "It carries a user name or password, which would be logged.", "Set api_key instead."
    if parts.query or parts.fragment:
        return (
            "It has a query or fragment (? or #).",
            "Remove that; extra parameters go into params.",
        )
    if _LOOPBACK.match(str(parts.hostname)):
        return (
            "LiteLLM runs in a container, where this address is the container itself.",
            "Write host.docker.internal for a server on this machine, or the name of a service of the stack.",
        )
    return None


def same_deployment_twice(site: Site) -> Iterator[Fault]:
    """Two equal deployments under one name are a mistake in copying, not load balancing."""
    for path, model in models(site):
        seen: dict[str, str] = {}
        for one in deployments(path, model):
            names_ = ("provider", "model", "base_url", "api_key", "api_version", "params")
            same = repr([one.get(name) for name in names_])
            if same in seen and one.provider != "mock":
                yield fault(
                    one.path,
                    UNKNOWN,
                    f"It is the same deployment as {seen[same]}: same provider, model, address and key.",
                    "Remove one; a larger share of the requests is what weight is for.",
                )
            seen.setdefault(same, one.path)


def digests(site: Site) -> Iterator[Fault]:
    """A pin is the whole digest."""
    for one in _all_deployments(site):
        digest = text(one.get("digest"))
        if digest and not re.match(r"^(sha256:)?[0-9a-f]{64}\Z", digest):
            reason = "It is not a digest: sha256: and 64 digits from 0 to f."
            yield fault(one.at("digest"), digest, reason, "Copy the whole digest, or remove it.")


def egress(site: Site) -> Iterator[Fault]:
    """Without a way out LiteLLM reaches services of the stack only."""
    if site.get("litellm_egress") != "never":
        return
    for one in _all_deployments(site):
        parts = split_url(text(one.effective("base_url")))
        host = parts.hostname if parts else None
        reachable = (
            {None, "ollama", *site.all_services} if one.provider == "ollama" else site.all_services
        )
        if one.provider in PROVIDERS and one.provider != "mock" and host not in reachable:
            yield fault(
                one.at("provider"),
                one.provider,
                "Its server is not a service of the stack, and litellm_egress is never.",
                "Set litellm_egress to auto, or remove this deployment.",
            )


RULES: tuple[Rule, ...] = (
    names,
    form,
    provider_fields,
    base_urls,
    same_deployment_twice,
    digests,
    egress,
)
