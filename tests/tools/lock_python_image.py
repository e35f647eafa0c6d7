# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pin what a Python image is made of: FILE.in -> FILE.txt, every dependency with the hashes of its wheels.

uv resolves; only the wheels that the image can install (CPython 3.13 on Linux with glibc, x86_64 and aarch64) keep
their hashes, because the file travels to every box on every run. Needs uv and packaging.

    python tests/tools/lock_python_image.py roles/local_images/files/litellm/requirements.in
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

PYTHON = (3, 13)
MACHINES = ("x86_64", "aarch64")
GLIBC = (2, 41)  # Debian 13


def tags() -> set[Tag]:
    """Every wheel tag that one of the two kinds of machine installs."""
    found: set[Tag] = set()
    for machine in MACHINES:
        platforms = [f"manylinux_{GLIBC[0]}_{minor}_{machine}" for minor in range(5, GLIBC[1] + 1)]
        platforms += [f"manylinux{old}_{machine}" for old in (1, 2010, 2014)] + [f"linux_{machine}"]
        found.update(cpython_tags(PYTHON, platforms=platforms))
        found.update(compatible_tags(PYTHON, f"cp{PYTHON[0]}{PYTHON[1]}", platforms))
    return found


def resolve(source: Path) -> list[dict[str, Any]]:
    """The packages that uv chooses for any platform. A requirement with a false marker also drops dependencies."""
    command = ["uv", "pip", "compile", "-q", "--universal", "--format", "pylock.toml"]
    command += [
        "--python-version",
        "{}.{}".format(*PYTHON),
        "--overrides",
        str(source),
        str(source),
    ]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return tomllib.loads(out)["packages"]


def lines(packages: list[dict[str, Any]]) -> Iterator[str]:
    """One requirement with its hashes per package that Linux needs."""
    wanted = tags()
    for package in packages:
        if not any(needed(package.get("marker", ""), machine) for machine in MACHINES):
            continue
        wheels = {name_of(wheel): wheel["hashes"]["sha256"] for wheel in package.get("wheels", [])}
        hashes = sorted(h for name, h in wheels.items() if parse_wheel_filename(name)[3] & wanted)
        if not hashes:
            sys.exit(f"{package['name']} {package['version']} has no wheel for these machines")
        yield " \\\n    ".join(
            [f"{package['name']}=={package['version']}", *(f"--hash=sha256:{h}" for h in hashes)]
        )


def needed(marker: str, machine: str) -> bool:
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": "{}.{}.0".format(*PYTHON),
        "python_version": "{}.{}".format(*PYTHON),
        "sys_platform": "linux",
    }
    return not marker or Marker(marker).evaluate(environment)


def name_of(wheel: dict[str, Any]) -> str:
    return wheel.get("name") or re.sub(r"^.*/", "", wheel["url"])


def main(argument: str) -> None:
    source = Path(argument)
    head = f"# Made from {source.name} by tests/tools/{Path(__file__).name}; do not edit.\n"
    source.with_suffix(".txt").write_text(head + "\n".join(lines(resolve(source))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
