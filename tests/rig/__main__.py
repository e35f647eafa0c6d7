# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m tests.rig``: the rig by hand, and for Molecule's playbooks."""

from __future__ import annotations

import argparse
import json

from tests.rig import model_registry, ollama, registry, stack_images
from tests.rig.host import Host, describe


def main() -> None:
    """One command, one object of the rig."""
    parser = argparse.ArgumentParser(prog="python -m tests.rig", description=__doc__)
    things = parser.add_subparsers(dest="thing", required=True)
    host = things.add_parser("host", help="a systemd machine to install a box on")
    host.add_argument("verb", choices=["up", "down", "inventory"])
    host.add_argument("name")
    host.add_argument(
        "--registry", action="store_true", help="upstream names are the test registry's"
    )
    things.add_parser("images", help="build the stack's images and Ollama, once for each recipe")
    server = things.add_parser("registry", help="the test registry")
    server.add_argument("verb", choices=["up", "down"])
    mirror = things.add_parser("models", help="the mirror of models, with tiny ones in it")
    mirror.add_argument("verb", choices=["up", "down"])
    arguments = parser.parse_args()
    if arguments.thing == "host":
        _host(arguments.verb, Host(arguments.name), arguments.registry)
    elif arguments.thing == "images":
        stack_images.make()
        ollama.publish()
    elif arguments.thing == "models":
        _models(arguments.verb)
    elif arguments.verb == "up":
        print(json.dumps(registry.up()))
    else:
        registry.down()


def _models(verb: str) -> None:
    if verb == "up":
        mirror = model_registry.up()
        pushed = model_registry.standard(mirror)
        print(json.dumps({"url": mirror.url, "ca": str(mirror.ca), "models": pushed}))
    else:
        model_registry.down()


def _host(verb: str, host: Host, with_registry: bool) -> None:
    if verb == "up":
        names = registry.up() if with_registry else {}
        host.up(names, f"{stack_images.ARCHIVES}:/archives:ro")
        print(describe(host))
    elif verb == "down":
        host.down()
    else:
        print(json.dumps(host.inventory()))


if __name__ == "__main__":
    main()
