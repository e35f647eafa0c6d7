# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the gateway adds to LiteLLM: one log line per request, private models that stay so, clear refusals.

LiteLLM loads this file as a callback (``litellm_settings.callbacks``) and calls the methods below.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
from datetime import datetime, timezone
from typing import Any

from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

LOG_REQUESTS = os.environ.get("GPUBOX_LOG_REQUESTS") == "true"
MASTER_KEY = "litellm_proxy_master_key"  # what LiteLLM calls it where other keys have their hash

# Errors of LiteLLM that carry no status, and the status that it answers them with.
STATUS = {"RouterRateLimitError": 429}

# Where a request may name other models to try.
FALLBACK_FIELDS = (
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "router_settings_override",
)

NO_KEY = "No API key was sent, or not as Authorization: Bearer <key>."
# How some of LiteLLM's refusals begin, and what they are answered with; nothing said means its own first sentence.
# Without a database only the master key exists, and LiteLLM answers all others 400 "No connected db."
REFUSALS: dict[str, tuple[int, str]] = {
    "No connected db": (401, "This gateway does not know the key."),
    "No api key passed in": (401, NO_KEY),
    "Malformed API Key": (401, NO_KEY),
    "Rejected Request": (400, ""),
}

# LiteLLM's own lines about a request that failed, for which there is a better one here.
REPEATED = re.compile(r"\(\): Exception occured - |Error occurred while trying to do fallbacks - ")

# After these words LiteLLM's messages repeat what a provider or a client said.
QUOTE = re.compile(r"litellm\.\w*(?:Error|Exception)\b|input_value=")


class Discreet(logging.Filter):
    """LiteLLM's own messages without what they quote: providers repeat prompts in their errors, tracebacks too."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the message at the quote; of an exception keep its type and where it came from."""
        text = record.getMessage()
        if LOG_REQUESTS and REPEATED.search(text):
            return False
        if quote := QUOTE.search(text):
            record.msg, record.args = f"{text[: quote.end()]} (the rest is withheld)", None
        if isinstance(record.exc_info, tuple) and record.exc_info[0]:
            record.exception = record.exc_info[0].__name__
            record.exc_info = record.exc_text = record.stack_info = None
        return True


for _name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "uvicorn.error", "asyncio"):
    logging.getLogger(_name).addFilter(Discreet())
# A second line for each request, which would repeat the path and whatever secret a client puts into it.
logging.getLogger("uvicorn.access").disabled = True


class Gateway(CustomLogger):
    """The callbacks."""

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        """A request was answered, its stream to the end."""
        known = kwargs.get("standard_logging_object") or {}
        params = kwargs.get("litellm_params") or {}
        metadata = _metadata(params)
        _say(
            "info",
            request_id=known.get("litellm_call_id"),
            key=_key(metadata.get("user_api_key_alias"), metadata.get("user_api_key_hash")),
            model=metadata.get("original_model_group") or known.get("model_group"),
            deployment=known.get("model_id"),
            status=200,
            latency_ms=_since(params.get("proxy_server_request"), start_time, end_time),
            prompt_tokens=known.get("prompt_tokens"),
            completion_tokens=known.get("completion_tokens"),
            stream=bool(kwargs.get("stream")),
            fallbacks=metadata.get("attempted_fallbacks") or 0,
        )

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> HTTPException | None:
        """A request came to nothing, after all retries and fallbacks."""
        metadata = _metadata(request_data)
        refusal = _refusal(original_exception)
        _say(
            "warning",
            request_id=request_data.get("litellm_call_id"),
            key=_key(user_api_key_dict.key_alias, user_api_key_dict.api_key),
            model=metadata.get("original_model_group") or request_data.get("model"),
            status=_status(refusal or original_exception),
            latency_ms=_since(
                request_data.get("proxy_server_request"), request_data.get("start_time"), None
            ),
            stream=bool(request_data.get("stream")),
            error=type(original_exception).__name__,
        )
        return refusal

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> None:
        """Before each request: a client brings no credentials for providers; LiteLLM refuses addresses by itself."""
        if "api_key" in data or any(_brings_key(data.get(field)) for field in FALLBACK_FIELDS):
            raise HTTPException(
                400, "api_key is not allowed in a request; the gateway has its own."
            )

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: Any
    ) -> dict[str, Any] | None:
        """Before each call of a deployment: what was asked of a private model goes to local ones only.

        Checking the inventory refuses such fallbacks; this also stops those that a client names in its request.
        """
        metadata = _metadata(kwargs)
        asked = metadata.get("original_model_group") or metadata.get("model_group")
        info = metadata.get("model_info") or {}
        if asked and not info.get("local") and _is_private(asked):
            raise HTTPException(
                403, f"The model {asked} is private: its requests stay on this box."
            )
        return None


def _metadata(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Where the request came from and went to; LiteLLM keeps it under two names, by route."""
    return {**(kwargs.get("litellm_metadata") or {}), **(kwargs.get("metadata") or {})}


def _is_private(asked: str) -> bool:
    from litellm.proxy.proxy_server import llm_router

    if llm_router is None:
        return False
    alias = llm_router.model_group_alias.get(asked, asked)
    name = alias["model"] if isinstance(alias, dict) else alias
    return any(
        deployment["model_info"].get("private")
        and name in (deployment["model_name"], deployment["model_info"].get("id"))
        for deployment in llm_router.model_list
    )


def _brings_key(value: Any) -> bool:
    if isinstance(value, dict):
        return "api_key" in value or any(_brings_key(part) for part in value.values())
    return isinstance(value, list) and any(_brings_key(part) for part in value)


def _refusal(exception: Exception) -> HTTPException | None:
    """A better answer than LiteLLM's own, where it has none."""
    said = str(getattr(exception, "message", exception))
    for begins, (status, answer) in REFUSALS.items():
        if said.startswith(begins):
            return HTTPException(status, answer or said.split(". ", maxsplit=1)[0])
    return None


def _key(alias: str | None, hashed: str | None) -> str | None:
    if alias or not hashed:
        return alias or None
    if hashed == MASTER_KEY:
        return "master"
    if not re.fullmatch("[0-9a-f]{64}", hashed):  # LiteLLM hashes only what begins with sk-
        hashed = hashlib.sha256(hashed.encode()).hexdigest()
    return f"sha256:{hashed[:12]}"


def _status(exception: Exception) -> int:
    status = getattr(exception, "status_code", None) or getattr(exception, "code", None)
    found = STATUS.get(type(exception).__name__) or (int(status) if str(status).isdigit() else 500)
    return found if found >= 400 else 500  # an answer that could not be read has the provider's 200


def _since(
    request: dict[str, Any] | None, start: datetime | None, end: datetime | None
) -> int | None:
    """Milliseconds since the request arrived, retries and fallbacks included."""
    began = (request or {}).get("arrival_time") or (start.timestamp() if start else None)
    until = (end or datetime.now()).timestamp()
    return round((until - began) * 1000) if began else None


def _say(level: str, **fields: Any) -> None:
    if LOG_REQUESTS:
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = {"timestamp": time, "level": level, "event": "request", **fields}
        sys.stdout.write(json.dumps({k: v for k, v in line.items() if v is not None}) + "\n")
        sys.stdout.flush()


handler = Gateway()
