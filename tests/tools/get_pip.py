"""Stands in for get-pip.py, which ansible-test would fetch: pip comes from Python's ensurepip."""

from __future__ import annotations

import subprocess
import sys


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True, stdout=subprocess.DEVNULL)


run("ensurepip", "--upgrade")
packages = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
if packages:
    run("pip", "install", "--disable-pip-version-check", *packages)
