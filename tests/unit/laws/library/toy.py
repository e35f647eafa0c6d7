# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module toy: what a module on the layer looks like, and, told to sin, how each law is broken."""

from __future__ import annotations

from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._http import Http, NotFound
from ansible_collections.gpubox.llm.plugins.module_utils._reconcile import Change, Field, plan
from ansible_collections.gpubox.llm.plugins.module_utils._runner import (
    HTTP_OPTIONS,
    Outcome,
    Task,
    run,
)

OPTIONS: dict[str, Any] = {
    **HTTP_OPTIONS,
    "url": {"type": "str", "required": True},
    "password": {"type": "str", "no_log": True},
    "name": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "size": {"type": "int"},
    "token": {"type": "str", "no_log": True},
    "sin": {"type": "str", "default": ""},
    "hint": {"type": "str"},  # the password, were its no_log forgotten
}
FIELDS = (Field("size"), Field("token", secret=True))


class Things:
    def __init__(self, http: Http) -> None:
        self.http = http

    def find(self, name: str) -> dict[str, Any] | None:
        try:
            return self.http.json("GET", f"/things/{name}")
        except NotFound:
            return None

    def apply(self, name: str, change: Change) -> None:
        if change.action == "delete":
            self.http.call("DELETE", f"/things/{name}", retry=True)
        elif change.changed:
            self.http.call("PUT", f"/things/{name}", body=change.updates, retry=True)


def act(task: Task) -> Outcome:
    given = task.params
    bearer = {"Authorization": f"Bearer {given['password'] or given['hint']}"}
    things = Things(Http(given["url"], task.transport(proxies={}), headers=bearer))
    current = things.find(given["name"])
    change = plan(FIELDS, current, given, present=given["state"] == "present")
    task.apply(lambda: things.apply(given["name"], change), None)
    return sinned(task, things, change)


def sinned(task: Task, things: Things, change: Change) -> Outcome:
    sin, name = task.params["sin"], task.params["name"]
    changed, result = change.changed, {"action": change.action}
    if sin == "writes in check mode" and task.check_mode:
        things.http.call("PUT", f"/things/{name}", body={})
    elif sin == "predicts something else" and task.check_mode:
        result["action"] = "something else"
    elif sin == "changes and does not say so":
        changed = False
    elif sin == "changes every time":
        changed = True
    elif sin == "leaves something behind" and change.action == "delete":
        things.http.call("PUT", "/things/rest", body={})
    elif sin == "overwrites":
        things.http.call("PUT", "/things/old", body={"note": ""})
    return Outcome(changed, result, **change.diff())


if __name__ == "__main__":
    run(OPTIONS, act)
