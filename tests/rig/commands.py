# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that the rig starts, and the place where it keeps what took long to make."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gpubox-tests"


def run(*command: str | Path, input_text: str | None = None, cwd: Path | None = None) -> str:
    """What the program prints; a failure shows everything it said."""
    done = subprocess.run(
        [str(word) for word in command],
        input=input_text,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Whether the program ends well; what it says does not matter."""
    return (
        subprocess.run([str(w) for w in command], capture_output=True, check=False).returncode == 0
    )


def digest(*parts: str) -> str:
    """A short name for exactly this content."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def own(name: str) -> str:
    """A name on the engine that no other checkout's tests use at the same time."""
    return f"gpubox-test-{name}-{digest(str(ROOT))[:6]}"


@contextmanager
def cache_lock(name: str) -> Iterator[Path]:
    """The cache directory, held so that two test runs do not build the same thing twice."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield CACHE
