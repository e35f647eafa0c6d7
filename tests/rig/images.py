# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small images for tests, made from distribution packages, named by what is in them and made once."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.rig.commands import ROOT, cache_lock, digest, run, succeeds

MIRROR = "http://deb.debian.org/debian"

# A page that says who answers, and a health check that works in the image: all a stand-in service needs.
BUSYBOX_APPLETS = (
    "cat",
    "chown",
    "false",
    "grep",
    "httpd",
    "id",
    "ls",
    "nc",
    "sh",
    "sleep",
    "true",
    "wget",
)

HAVE_IMAGE = """
- hosts: localhost
  connection: local
  gather_facts: false
  roles: [gpubox.llm.local_images]
"""


def busybox() -> str:
    """A 2 MB image with a shell, ``httpd``, ``wget`` and ``sleep``; runs as any user, serves /www on 8080."""
    name = f"gpubox-test/busybox:{digest(*BUSYBOX_APPLETS)}"
    with cache_lock("busybox"):
        if not succeeds("docker", "image", "inspect", name):
            _import(name, _busybox_layer(), 'CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]')
    return name


def system_image(
    purpose: str, suite: str, packages: tuple[str, ...], setup: tuple[str, ...], change: str
) -> str:
    """A Debian with these packages; ``setup`` are commands that run in it while it is made."""
    name = f"gpubox-test/{purpose}:{digest(suite, *packages, *setup, change)}"
    with cache_lock(purpose):
        if not succeeds("docker", "image", "inspect", name):
            hooks = [f'--customize-hook=chroot "$1" sh -euc {shlex.quote(line)}' for line in setup]
            include = f"--include={','.join(packages)}"
            with tempfile.TemporaryDirectory() as scratch:
                layer = Path(scratch) / "layer.tar"
                run("mmdebstrap", "--variant=minbase", include, *hooks, suite, layer, MIRROR)
                run("docker", "import", "--change", change, layer, name)
    return name


def upstream_image(name: str) -> str:
    """One of the stack's images on this machine's engine: pulled or built as a user's box would, unless it is there."""
    with cache_lock("upstream-image") as cache:
        if not succeeds("docker", "image", "inspect", name):
            playbook = cache / "have_image.yml"
            playbook.write_text(HAVE_IMAGE)
            wanted = json.dumps({"__local_images_wanted": [name], "llm_images": "auto"})
            program = Path(sys.executable).with_name("ansible-playbook")
            run(program, playbook, "--extra-vars", wanted, cwd=ROOT)
    return name


def _busybox_layer() -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o777)  # apt downloads as its own user
        run("apt-get", "download", "-q", "busybox-static", cwd=Path(scratch))
        package = next(Path(scratch).glob("*.deb"))
        run("dpkg-deb", "--extract", package, Path(scratch) / "root")
        found = [p for p in Path(scratch).rglob("busybox") if p.parent.name == "bin"]
        return _layer(found[0].read_bytes())


def _layer(busybox_binary: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        _add(layer, "bin/busybox", busybox_binary, 0o755)
        _add(layer, "www/index.html", b"ok\n", 0o644)
        _add(layer, "etc/passwd", b"root:x:0:0::/:/bin/sh\n", 0o644)
        for applet in BUSYBOX_APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
        temporary = tarfile.TarInfo("tmp")
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(temporary)
    return buffer.getvalue()


def _add(layer: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    layer.addfile(entry, io.BytesIO(content))


def _import(name: str, layer: bytes, *changes: str) -> None:
    flags = [word for change in changes for word in ("--change", change)]
    command = ["docker", "import", *flags, "-", name]
    subprocess.run(command, input=layer, check=True, capture_output=True)
