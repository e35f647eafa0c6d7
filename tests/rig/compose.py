# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Docker Compose versions that no package brings, built from the Go module proxy."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from tests.rig.commands import cache_lock, run

VERSIONS = ("2.40.3",)


def plugin_dir(version: str) -> Path:
    """A ``cli-plugins`` directory with this Compose; with its parent as DOCKER_CONFIG it is ``docker compose``.

    The first call builds it (about two minutes of Go), later ones find it.
    """
    with cache_lock("compose") as cache:
        directory = cache / f"compose-{version}" / "cli-plugins"
        if not (directory / "docker-compose").exists():
            directory.mkdir(parents=True, exist_ok=True)
            _build(version, directory / "docker-compose")
    return directory


def _build(version: str, target: Path) -> None:
    module = f"github.com/docker/compose/v2@v{version}"
    source = json.loads(run("go", "mod", "download", "-json", module, cwd=Path("/")))["Dir"]
    with tempfile.TemporaryDirectory() as scratch:
        # `go install` refuses a module with replace directives, and the module cache is read-only.
        work = Path(shutil.copytree(source, Path(scratch) / "compose"))
        work.chmod(0o755)
        stamp = f"-s -w -X github.com/docker/compose/v2/internal.Version=v{version}"
        binary = Path(scratch) / "docker-compose"
        build = ["nice", "go", "build", "-trimpath", "-ldflags", stamp, "-o"]
        run(*build, binary, "./cmd", cwd=work)
        shutil.copy2(binary, target.with_suffix(".new"))
    target.with_suffix(".new").rename(target)
