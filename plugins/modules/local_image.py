#!/usr/bin/python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module local_image: the images a site needs, from wherever they can be had."""

from __future__ import annotations

DOCUMENTATION = r"""
module: local_image
short_description: Have container images, pulled, loaded or built from packages
version_added: 0.1.0
description:
  - Takes all images that a box needs in one call. An image that is there is used; else it is pulled, else loaded from
    an archive, else built from distribution and language packages by its recipe.
  - A built image carries the hash of its recipe as a label, and is built again when the recipe changes and only then.
    Images without that label were pulled or built by somebody else and are never replaced.
options:
  images:
    description: References that are wanted, each with a tag.
    type: list
    elements: str
    required: true
  recipes:
    description:
      - How to build images, by reference.
      - Each has C(suite) (of Debian), C(packages), C(script) (run by C(sh) inside the new root), C(files) (texts beside
        the script while it runs), C(config) (Dockerfile instructions that say how the image is run) and C(megabytes)
        (its size, which must be free). All but the last make up the recipe's hash.
    type: dict
    default: {}
  mode:
    description:
      - V(auto) uses an image that is there, else pulls, else loads, else builds it.
      - V(local) asks no registry.
      - V(registry) does nothing here, because Compose pulls what is missing.
    type: str
    choices: [registry, local, auto]
    default: auto
  known:
    description:
      - Images that were just seen on the box, by reference, with the labels of this collection.
      - Where they are all that is wanted, the action plugin does not call the box at all.
    type: dict
    default: {}
  refused:
    description: Versions that are known to be bad. An image or recipe that matches one fails the task.
    type: list
    elements: dict
    default: []
    suboptions:
      match:
        description: Regular expression looked for in references and in the packages and files of recipes.
        type: str
        required: true
      reason:
        description: Why it is refused, and what to use instead.
        type: str
        required: true
  archive_dir:
    description: Directory to which built images are saved, and from which they are loaded without any network.
    type: path
  work_dir:
    description: Directory in which images are built.
    type: path
    default: /var/tmp
  debian_mirror:
    description: Mirror, or snapshot, of Debian.
    type: str
    default: http://deb.debian.org/debian
  debian_keyring:
    description: Armored public keys that Debian's package lists must be signed with. Needed to build.
    type: str
  pip_index_url:
    description: Index of Python packages; PyPI if not given.
    type: str
  ca_file:
    description: Certificate authorities to trust besides those of the box.
    type: path
  http_proxy:
    description: Proxy for HTTP; the one of the environment if not given.
    type: str
  https_proxy:
    description: Proxy for HTTPS; the one of the environment if not given.
    type: str
  no_proxy:
    description: Hosts that are reached without a proxy.
    type: str
  lock_seconds:
    description: How long to wait for another run on the same box, in seconds.
    type: int
    default: 1800
  progress_file:
    description: File to which progress lines are appended; set by the action plugin.
    type: path
requirements:
  - The Python package C(docker) on the box
  - C(mmdebstrap) to build; installed by this module where apt is
attributes:
  check_mode:
    description: Writes nothing and predicts the real run. Registries are asked, as in the real run.
    support: full
  diff_mode:
    description: Shows what happens to each image.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
author:
  - gpubox.llm maintainers (@gpubox)
"""

EXAMPLES = r"""
- name: Have nginx, from its registry or from a saved copy
  gpubox.llm.local_image:
    images: [nginx:1.30.6]

- name: Build a small image
  gpubox.llm.local_image:
    images: [example/web:1]
    mode: local
    archive_dir: /var/lib/images
    debian_keyring: "{{ lookup('ansible.builtin.file', '/usr/share/keyrings/debian-archive-trixie-automatic.asc') }}"
    recipes:
      example/web:1:
        suite: trixie
        packages: [busybox-static]
        script: mkdir /www && cp index.html /www
        files: {index.html: "<h1>Hello</h1>"}
        config: ['CMD ["busybox", "httpd", "-f", "-h", "/www"]']
        megabytes: 100
"""

RETURN = r"""
images:
  description: What happened, or in check mode would happen, to each image.
  returned: always
  type: dict
  sample: {"nginx:1.30.6": {"action": "built", "id": "sha256:5f0c..."}}
  contains:
    action:
      description: One of present, pulled, loaded, built, rebuilt.
      type: str
    id:
      description: ID of the image; in check mode of the one that is there now, if any.
      type: str
rebuilt:
  description: References that mean another image than before, or will; services that use them are recreated.
  returned: always
  type: list
  elements: str
  sample: ["nginx:1.30.6"]
"""

import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gpubox.llm.plugins.module_utils._docker import EngineError, why_none
from ansible_collections.gpubox.llm.plugins.module_utils._images.apply import Request, Run
from ansible_collections.gpubox.llm.plugins.module_utils._images.build import Settings
from ansible_collections.gpubox.llm.plugins.module_utils._images.decide import (
    ImageError,
    Recipe,
    Task,
    refusals,
)
from ansible_collections.gpubox.llm.plugins.module_utils._progress import Progress

OPTIONS: dict[str, dict[str, Any]] = {
    "images": {"type": "list", "elements": "str", "required": True},
    "recipes": {"type": "dict", "default": {}},
    "mode": {"type": "str", "choices": ["registry", "local", "auto"], "default": "auto"},
    "known": {"type": "dict", "default": {}},
    "refused": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "match": {"type": "str", "required": True},
            "reason": {"type": "str", "required": True},
        },
    },
    "archive_dir": {"type": "path"},
    "work_dir": {"type": "path", "default": "/var/tmp"},  # noqa: S108 - only mkdtemp writes there
    "debian_mirror": {"type": "str", "default": "http://deb.debian.org/debian"},
    "debian_keyring": {"type": "str", "no_log": False},
    "pip_index_url": {"type": "str"},
    "ca_file": {"type": "path"},
    "http_proxy": {"type": "str"},
    "https_proxy": {"type": "str"},
    "no_proxy": {"type": "str"},
    "lock_seconds": {"type": "int", "default": 1800},
    "progress_file": {"type": "path"},
}


def request(params: dict[str, Any]) -> Request:
    """The module's parameters as what is wanted of the box."""
    faults = refusals(params["images"], params["recipes"], params["refused"])
    if faults:
        raise ImageError("\n".join(faults))
    places = ("work_dir", "pip_index_url", "ca_file", "http_proxy", "https_proxy", "no_proxy")
    return Request(
        references=params["images"],
        recipes={name: Recipe.parse(name, data) for name, data in params["recipes"].items()},
        mode=params["mode"],
        archive_dir=params["archive_dir"] or "",
        settings=Settings(
            mirror=params["debian_mirror"],
            keyring=params["debian_keyring"] or "",
            **{name: params[name] or "" for name in places},
        ),
        lock_seconds=params["lock_seconds"],
    )


def answer(tasks: list[Task], done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The module's result, from what was planned and, outside of check mode, what was done."""
    images = {
        task.reference: done.get(
            task.reference, {"action": task.outcome, "id": task.found.image_id}
        )
        for task in tasks
    }
    before = {task.reference: task.found.image_id for task in tasks}
    predicted = not done
    lines = [f"{name}: {image['action']}\n" for name, image in images.items()]
    return {
        "changed": any(task.ways or task.archive for task in tasks),
        "images": images,
        "rebuilt": [
            name
            for name, image in images.items()
            if image["action"] != "present" and (predicted or image["id"] != before[name])
        ],
        "diff": {
            "before": "".join(line for line in lines if line.endswith(": present\n")),
            "after": "".join(lines),
        },
    }


def main() -> None:
    """Plan, and unless in check mode carry out."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    if module.params["mode"] == "registry":
        module.exit_json(changed=False, images={}, rebuilt=[])
    try:
        run = Run(request(module.params), Progress(module.params["progress_file"]).say)
        if not run.available and not module.check_mode:
            raise ImageError(why_none())
        tasks = run.plan()
        work = any(task.ways or task.archive for task in tasks)
        done = run.apply() if work and not module.check_mode else {}
    except (EngineError, ImageError) as error:
        module.fail_json(msg=str(error))
    except Exception as error:
        module.fail_json(msg=f"unexpected: {error!r}", exception=traceback.format_exc())
    module.exit_json(**answer(tasks, done))


if __name__ == "__main__":
    main()
