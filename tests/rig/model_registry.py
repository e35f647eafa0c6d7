# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A mirror of models as docs/model-mirror.md has users build it: the very nginx configuration that stands there.

It listens on the address that this machine has on Docker's default bridge: reached by the machine itself, by containers
of any network that is not internal, and by test hosts with the containers in them.
"""

from __future__ import annotations

import json
import re
import shlex
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.rig import models, registry
from tests.rig.commands import CACHE, ROOT, cache_lock, digest, own, run, succeeds
from tests.rig.images import system_image, upstream_image
from tests.unit.fakes.registry import MANIFEST, FakeRegistry, Layer, full_name

FRONT = own("model-front")
STORE = own("model-store")
DIRECTORY = CACHE / FRONT
DOCUMENT = ROOT / "docs" / "model-mirror.md"
NGINX = "nginx:1.30.6"
# Checkouts beside each other take different ones.
PORT = 20000 + int(digest(str(ROOT)), 16) % 5000 * 2
STORE_ADDRESS = f"127.0.0.1:{PORT + 1}"
CONFIG = {
    "version": "0.1",
    "storage": {"filesystem": {"rootdirectory": "/models"}},
    "http": {"addr": STORE_ADDRESS},
}
SETUP = (f"echo {shlex.quote(json.dumps(CONFIG))} > /registry.yml",)


@dataclass(frozen=True)
class Mirror:
    """What to tell those who pull from it, and how to fill it."""

    host: str  # as it stands in a model's name, with the port
    ca: Path

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def push(self, name: str, *layers: Layer) -> str:
        """Give a tag these layers, as FakeRegistry does; the digest that a server lists it under."""
        made = FakeRegistry()
        made.push(name, *layers)
        repository, _colon, tag = full_name(name).rpartition(":")
        base = f"http://{STORE_ADDRESS}/v2/{repository}"
        for blob, content in made.blobs.items():
            place = _send("POST", f"{base}/blobs/uploads/", b"")
            _send("PUT", f"{place}{'&' if '?' in place else '?'}digest={blob}", content)
        manifest = made.manifests[full_name(name)]
        _send("PUT", f"{base}/manifests/{tag}", manifest, MANIFEST)
        return made.digest(name)


def standard(mirror: Mirror) -> dict[str, str]:
    """Fill it with what most tests need: name and digest of each.

    ``tiny`` completes, in a few words; ``tiny:brief`` shares its weights; ``tiny-embed`` embeds.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.gguf"
        weights = models.tiny(path).read_bytes()
        embedding = models.tiny(path, 2, embedding=True).read_bytes()
    template, few = ("template", b"{{ .Prompt }}"), ("params", b'{"num_predict":16}')
    layers: dict[str, tuple[Layer, ...]] = {
        "tiny:latest": (("model", weights), template, few),
        "tiny:brief": (("model", weights), template, few, ("system", b"Be brief.")),
        "tiny-embed:latest": (("model", embedding),),
    }
    return {name: mirror.push(name, *parts) for name, parts in layers.items()}


def mirror() -> Mirror:
    """It, whether it runs or not."""
    return Mirror(f"{_bridge_address()}:{PORT}", registry.CA)


def up() -> Mirror:
    """Start it where it does not run; what was pushed is there until it is taken down."""
    with cache_lock("model-registry"):
        if not (succeeds("docker", "exec", FRONT, "true") and succeeds("docker", "top", STORE)):
            down()
            _start(_bridge_address())
    return mirror()


def down() -> None:
    """Remove it with all models."""
    run("docker", "rm", "--force", "--volumes", FRONT, STORE)


def _start(address: str) -> None:
    image = system_image(
        "model-store",
        "bookworm",
        ("docker-registry",),
        SETUP,
        'CMD ["docker-registry", "serve", "/registry.yml"]',
    )
    (DIRECTORY / "tls").mkdir(parents=True, exist_ok=True)
    registry.certificate(DIRECTORY / "tls", (f"IP:{address}",))
    (DIRECTORY / "nginx.conf").write_text(f"events {{}}\nhttp {{\n{_configuration(address)}}}\n")
    common = ("docker", "run", "--detach", "--init", "--network", "host")
    run(*common, "--name", STORE, image)
    run(
        *(*common, "--name", FRONT, "--volume", f"{DIRECTORY / 'tls'}:/etc/nginx/tls:ro"),
        *("--volume", f"{DIRECTORY / 'nginx.conf'}:/etc/nginx/nginx.conf:ro"),
        upstream_image(NGINX),
    )
    _wait()


def _configuration(address: str) -> str:
    """The documented servers, with names and ports of this machine.

    To Ollama the same address in another spelling is another host, so that one address does for both names.
    """
    block = re.search(r"```nginx\n(server \{.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    other = f"[::ffff:{address}]"
    changes = {
        "listen 443": f"listen {address}:{PORT}",
        "https://blobs.models.example.com": f"https://{other}:{PORT}",
        "blobs.models.example.com": other,
        "models.example.com": address,
        "127.0.0.1:5000": STORE_ADDRESS,
    }
    text = block[1]
    for documented, here in changes.items():
        assert documented in text, documented
        text = text.replace(documented, here)
    return text


def _bridge_address() -> str:
    template = "{{range .IPAM.Config}}{{.Gateway}}{{end}}"
    return run("docker", "network", "inspect", "--format", template, "bridge").strip()


def _wait(seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            _send("GET", f"http://{STORE_ADDRESS}/v2/", None)
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _send(method: str, url: str, content: bytes | None, kind: str = "") -> str:
    """Where the registry says that it goes on."""
    headers = {"Content-Type": kind or "application/octet-stream"}
    request = urllib.request.Request(url, content, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.headers.get("Location", ""))
