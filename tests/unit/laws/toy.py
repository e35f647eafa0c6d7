# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small API, for the laws themselves: things with a size, a token, a note that nobody manages."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._http import Request, Response

from tests.unit.fakes.serve import answer, content
from tests.unit.laws.case import Case, World

PASSWORD = "opensesame-9f2c"
TOKEN = "thing-token-77aa"


class Things:
    """/things/<name>: GET, PUT (merges) and DELETE for who knows the password; it tells no token."""

    def __init__(self, **things: dict[str, Any]) -> None:
        self.things = things

    def __call__(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {PASSWORD}":
            return answer(request, 401, {"error": "who are you?"})
        name = request.url.rpartition("/")[2]
        if request.method == "PUT":
            self.things.setdefault(name, {}).update(json.loads(content(request)))
            return answer(request, 204)
        if name not in self.things:
            return answer(request, 404, {"error": f"no thing {name}"})
        if request.method == "DELETE":
            del self.things[name]
            return answer(request, 204)
        told = {key: value for key, value in self.things[name].items() if key != "token"}
        return answer(request, 200, told)


def call(**arguments: Any) -> Any:
    return lambda world: {"url": world.url, "password": PASSWORD, "name": "new", **arguments}


def state(world: World) -> Any:
    return copy.deepcopy(world.fake.things)


CASES = [
    Case(
        name="created",
        module="toy",
        fake=lambda: Things(old={"size": 1, "note": "keep me"}),
        arguments=call(size=3, token=TOKEN),
        absent=call(state="absent"),
        state=state,
        unmanaged=lambda things: things["old"],
        secrets=(PASSWORD, TOKEN),
    ),
    Case(
        name="one field of several",
        module="toy",
        fake=lambda: Things(new={"size": 1, "note": "keep me"}),
        arguments=call(size=3),
        state=state,
        unmanaged=lambda things: things.get("new", {}).get("note"),
    ),
    Case(
        name="as it is",
        module="toy",
        fake=lambda: Things(new={"size": 3}),
        arguments=call(size="3"),
        state=state,
        changed=False,
    ),
]


def sinning(case: Case, sin: str) -> Case:
    """The same case, by a module that does what it must not."""

    def with_sin(arguments: Any) -> Any:
        password = {"password": None, "hint": PASSWORD} if sin.endswith("the secret") else {}
        return lambda world: {**arguments(world), "sin": sin, **password}

    return replace(
        case,
        name=sin,
        arguments=with_sin(case.arguments),
        absent=with_sin(case.absent) if case.absent else None,
    )
