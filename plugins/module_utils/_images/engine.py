# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images of one Docker engine: verbs only. Private to this collection."""

from __future__ import annotations

import gzip
import json
import os
import urllib.error
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable

from ansible.module_utils.urls import open_url
from ansible_collections.gpubox.llm.plugins.module_utils._docker import client, docker
from ansible_collections.gpubox.llm.plugins.module_utils._images.decide import (
    LABEL,
    Found,
    ImageError,
)
from ansible_collections.gpubox.llm.plugins.module_utils._images.words import PullProgress

__all__ = ["Images", "registry_answers"]

CHUNK = 1 << 20
PROBE_SECONDS = 12
WORK_SECONDS = 1800  # an engine may be silent that long while it unpacks a large image


class Images:
    """Reads and makes images. ``available`` is False where no engine answers."""

    def __init__(self) -> None:
        self._api = client(WORK_SECONDS)

    @property
    def available(self) -> bool:
        """Whether an engine answers."""
        return self._api is not None

    @property
    def data_dir(self) -> str:
        """Where the engine keeps its images."""
        return str(self._api.info().get("DockerRootDir") or "/var/lib/docker")

    # -- reading ---------------------------------------------------------------------------------------------

    def find(self, reference: str) -> Found:
        """The image behind a reference."""
        if not self.available:
            return Found()
        try:
            image = self._api.inspect_image(reference)
        except docker.errors.ImageNotFound:
            return Found()
        labels = (image.get("Config") or {}).get("Labels") or {}
        return Found(image_id=image["Id"], recipe=labels.get(LABEL, ""))

    def in_registry(self, reference: str) -> bool:
        """Whether the registry would give the image; asked of the engine, with its mirrors, proxy and logins."""
        import requests

        probe = client(PROBE_SECONDS)
        try:
            probe.inspect_distribution(reference)
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            return False
        return True

    # -- making ----------------------------------------------------------------------------------------------

    def pull(self, reference: str, say: Callable[[str], None]) -> None:
        """Pull one image."""
        progress = PullProgress()
        for event in self._api.pull(reference, stream=True, decode=True):
            if event.get("error"):
                raise ImageError(str(event["error"]))
            line = progress.feed(event)
            if line:
                say(line)

    def load(self, path: str, reference: str, recipe: str) -> None:
        """Load an archive; it must bring the reference, built from that recipe."""
        with gzip.open(path, "rb") as stream:
            for event in self._api.load_image(_chunks(stream)):
                if event.get("error"):
                    raise ImageError(f"{path}: {event['error']}")
        if self.find(reference).recipe != recipe:
            raise ImageError(f"{path} does not hold {reference} as it is built now")

    def save(self, reference: str, path: str) -> None:
        """Write an archive that :meth:`load` reads; it appears whole or not at all."""
        partial = f"{path}.partial"
        try:
            with gzip.open(partial, "wb", compresslevel=1) as stream:
                for chunk in self._api.get_image(reference, chunk_size=CHUNK):
                    stream.write(chunk)
            os.replace(partial, path)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)

    def take(self, root: Iterable[bytes], config: Sequence[str]) -> str:
        """Make an image without a name from the tar of its root; return its ID."""
        answer = self._api.import_image(root, stream_src=True, changes=list(config))
        events = [json.loads(line) for line in answer.splitlines() if line.strip()]
        for event in events:
            if event.get("error"):
                raise ImageError(f"the engine does not take the image: {event['error']}")
        return str(events[-1]["status"])

    def name(self, image_id: str, reference: str) -> None:
        """Let the reference mean that image."""
        repository, tag = reference.rsplit(":", 1)
        self._api.tag(image_id, repository, tag, force=True)

    def drop(self, image_id: str) -> None:
        """Remove an image that has no name."""
        self._api.remove_image(image_id)

    def sweep(self) -> None:
        """Remove what earlier recipes left behind and no container uses."""
        self._api.prune_images(filters={"dangling": True, "label": [LABEL]})


def _chunks(stream: Any) -> Iterator[bytes]:
    while True:
        chunk = stream.read(CHUNK)
        if not chunk:
            return
        yield chunk


def registry_answers(reference: str) -> bool:
    """Whether the registry of a reference is there at all; for a box whose engine cannot be asked yet."""
    first = reference.split("/", 1)[0]
    host = first if "/" in reference and ("." in first or ":" in first) else "registry-1.docker.io"
    scheme = "http" if host.split(":")[0] in ("localhost", "127.0.0.1") else "https"
    try:
        open_url(f"{scheme}://{host}/v2/", timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:  # 401 as a rule: it wants a token, so it is there
        return True
    except (OSError, ValueError):
        return False
    return True
