#!/usr/bin/python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module stack: all services of a box in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack
short_description: Make one box run exactly the described services
version_added: 0.1.0
description:
  - Takes the definitions of all services of a Docker Compose project in one call, compares them with what the engine
    runs, and creates, recreates, reloads, starts or removes exactly the services that differ.
  - Files and secrets are written as generations and mounted as directories. When a new generation does not become
    healthy, the one before comes back and the task fails with what the health check and the log said.
  - What is left on the box is a plain Compose project in O(home).
options:
  home:
    description: Directory of the stack on the box.
    type: path
    required: true
  project:
    description: Name of the Compose project; also the prefix of its networks.
    type: str
    default: gpubox
  state:
    description:
      - V(present) makes the box run O(services).
      - V(absent) stops and removes all containers and networks of the project; data and secrets stay
        unless O(remove_data).
    type: str
    choices: [present, absent]
    default: present
  services:
    description:
      - Service definitions by name. Each has C(compose) (a Compose service with C(image), a numeric C(user) and a
        C(healthcheck)), and may have C(files) (texts by relative path, mounted in C(files_dir)), C(secrets) (see
        O(secrets)), C(reload) (a command that makes the running service read its files again) and C(validate) (a
        command that checks the files in a throw-away container).
    type: dict
    default: {}
  overrides:
    description: Merged into the definitions of O(services) of the same name; a null removes a key.
    type: dict
    default: {}
  networks:
    description:
      - Networks by name. Keys are C(internal) (no way out), C(subnet), C(driver), C(driver_opts) and C(enable_ipv6).
      - Only networks that a service uses are created.
    type: dict
    default: {}
  external_networks:
    description: Existing Docker networks to join, each with the list of services that join it.
    type: dict
    default: {}
  secrets:
    description:
      - Values of secrets by C(service/file). The action plugin fills it from the variables that the definitions name.
      - A secret without a value is taken from the box, or made there once if its definition has C(generate).
    type: dict
    default: {}
  prune:
    description: Whether services and networks of the project that O(services) does not name are removed.
    type: bool
    default: false
  remove_data:
    description: With O(state=absent), whether volumes, secrets and the directory O(home) are removed as well.
    type: bool
    default: false
  wait_seconds:
    description: How long the services may take to become healthy, in seconds.
    type: int
    default: 300
  lock_seconds:
    description: How long to wait for another run on the same box, in seconds.
    type: int
    default: 600
  min_free_bytes:
    description: Free space, in bytes, below which nothing is started; asked of O(home) and of the engine's directory.
    type: int
    default: 500000000
  rebuilt_images:
    description: Images that are built anew in the same run; in check mode their services count as recreated.
    type: list
    elements: str
    default: []
  closing_message:
    description: Text that the action plugin shows, as it is, after the stack was made to run.
    type: str
  progress_file:
    description: File to which progress lines are appended; set by the action plugin.
    type: path
requirements:
  - Docker Engine 25 or newer, Docker Compose 2.20 or newer
  - The Python packages C(docker) and C(PyYAML) on the box
attributes:
  check_mode:
    description: Writes nothing and predicts the real run.
    support: full
  diff_mode:
    description: Shows the steps, and each definition and file that changes; never a secret.
    support: full
  idempotent:
    description: A second run changes nothing and touches no container.
    support: full
author:
  - gpubox.llm maintainers (@gpubox)
"""

EXAMPLES = r"""
- name: Run one web server
  gpubox.llm.stack:
    home: /opt/gpubox
    services:
      web:
        compose:
          image: nginx:1.30.6
          user: "101:101"
          ports: ["127.0.0.1:8080:8080"]
          tmpfs: [/tmp]
          networks: [edge]
          healthcheck:
            test: [CMD, curl, -fsS, "http://127.0.0.1:8080/healthz"]
            interval: 10s
        files_dir: /etc/web
        files:
          nginx.conf: "{{ lookup('ansible.builtin.template', 'nginx.conf.j2') }}"
    networks:
      edge: {}

- name: Take the stack down and keep its data and secrets
  gpubox.llm.stack:
    home: /opt/gpubox
    state: absent
"""

RETURN = r"""
steps:
  description: What happened, or in check mode would happen, to each service.
  returned: always
  type: list
  elements: dict
  sample: [{"service": "litellm", "action": "recreate", "reasons": ["config.yaml changed"]}]
  contains:
    service:
      description: Name of the service.
      type: str
    action:
      description: One of create, recreate, reload, start, remove, none.
      type: str
    reasons:
      description: Why.
      type: list
      elements: str
plan:
  description: The same for people; empty when there was nothing to do.
  returned: always
  type: list
  elements: str
  sample: ["litellm: recreate (config.yaml changed)"]
secrets:
  description: Path on the box of every secret, by name.
  returned: when O(state=present)
  type: dict
  sample: {"litellm_master_key": "/opt/gpubox/secrets/litellm_master_key"}
"""

import json
from dataclasses import fields
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.gpubox.llm.plugins.module_utils._docker import EngineError, why_none
from ansible_collections.gpubox.llm.plugins.module_utils._progress import Progress
from ansible_collections.gpubox.llm.plugins.module_utils._stack.apply import (
    Apply,
    StackError,
    take_down,
)
from ansible_collections.gpubox.llm.plugins.module_utils._stack.engine import (
    ComposeError,
    Engine,
)
from ansible_collections.gpubox.llm.plugins.module_utils._stack.home import LockTimeout, StackHome
from ansible_collections.gpubox.llm.plugins.module_utils._stack.plan import Plan, Planner, Request
from ansible_collections.gpubox.llm.plugins.module_utils._stack.service import DefinitionError

yaml: Any
try:
    import yaml
except ImportError:
    yaml = None

OPTIONS = {
    "home": {"type": "path", "required": True},
    "project": {"type": "str", "default": "gpubox"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "services": {"type": "dict", "default": {}},
    "overrides": {"type": "dict", "default": {}},
    "networks": {"type": "dict", "default": {}},
    "external_networks": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "prune": {"type": "bool", "default": False},
    "remove_data": {"type": "bool", "default": False},
    "wait_seconds": {"type": "int", "default": 300},
    "lock_seconds": {"type": "int", "default": 600},
    "min_free_bytes": {"type": "int", "default": 500000000},
    "rebuilt_images": {"type": "list", "elements": "str", "default": []},
    "closing_message": {"type": "str"},
    "progress_file": {"type": "path"},
}


def load(text: str) -> Any:
    """The value of a YAML text."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def dump(value: object) -> str:
    """YAML the way people write it; JSON on a bare box, whose packages check mode may not install."""
    if yaml is None:
        return json.dumps(value, indent=2) + "\n"
    fast = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    style = {"sort_keys": False, "default_flow_style": False, "width": 160}
    return str(yaml.dump(value, Dumper=fast, **style))


def request(params: dict[str, Any]) -> Request:
    """The part of the options that says what is wanted."""
    return Request(**{field.name: params[field.name] for field in fields(Request)})


def present(
    module: AnsibleModule, home: StackHome, engine: Engine, progress: Progress
) -> dict[str, Any]:
    """Plan, check, and unless in check mode carry out."""
    wanted = request(module.params)
    planner, apply = Planner(wanted, home, engine), Apply(wanted, home, engine, progress.say)
    plan = planner.plan()
    hide(module, plan)
    answer = {
        "changed": plan.changed,
        "plan": plan.lines(),
        "steps": [vars(step) for step in plan.steps],
        "secrets": {name: home.path("secrets", name) for name in plan.secrets},
    }
    if not plan.changed:
        return answer
    if module._diff:
        answer["diff"] = planner.diff(plan)
    apply.check(plan)
    if module.check_mode:
        apply.check_files(plan)
        return answer
    if not engine.available:
        raise EngineError(why_none())
    apply.pull(plan)
    apply.check_files(plan)
    home.prepare()
    waiting = "waiting for another run on this box"
    apply.lock = [home.lock(module.params["lock_seconds"], lambda: progress.say(waiting))]
    plan = planner.plan()  # the box may have changed while this run waited
    hide(module, plan)
    apply.write(plan)
    apply.run(plan)
    return answer


def hide(module: AnsibleModule, plan: Plan) -> None:
    """Mask secrets that were made on the box like those that came as options."""
    module.no_log_values.update(plan.secrets.values())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    params = module.params
    home = StackHome(params["home"], load if yaml else json.loads, dump)
    if yaml is None and (home.exists("compose.yaml") or not module.check_mode):
        module.fail_json(msg=missing_required_lib("PyYAML"))
    progress = Progress(params["progress_file"])
    try:
        engine = Engine(params["project"], home.path("compose.yaml"))
        if params["state"] == "absent":
            data = params["remove_data"]
            result = take_down(home, engine, data=data, dry=module.check_mode, say=progress.say)
        else:
            result = present(module, home, engine, progress)
    except ComposeError as error:
        module.fail_json(msg=f"{error}:\n{error.output}")
    except (DefinitionError, EngineError, LockTimeout, StackError, PermissionError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
