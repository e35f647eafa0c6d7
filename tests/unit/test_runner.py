# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell: what a module returns, which errors are foreseen, and that its documentation says what it takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.gpubox.llm.plugins.doc_fragments import _http as http_fragment
from ansible_collections.gpubox.llm.plugins.doc_fragments import _progress as progress_fragment
from ansible_collections.gpubox.llm.plugins.module_utils._docker import EngineError
from ansible_collections.gpubox.llm.plugins.module_utils._http import ConnectError, Http, Request
from ansible_collections.gpubox.llm.plugins.module_utils._reconcile import (
    Field,
    PlanError,
    plan,
)
from ansible_collections.gpubox.llm.plugins.module_utils._runner import (
    HTTP_OPTIONS,
    PROGRESS_OPTIONS,
    Outcome,
    Task,
    TaskError,
    run,
)

from tests.unit.fakes.serve import answer, serve

SPEC = {**PROGRESS_OPTIONS, **HTTP_OPTIONS, "size": {"type": "int"}, "pin": {"no_log": True}}


@pytest.fixture
def returned(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """What a module with this ``act`` returns, as Ansible reads it."""

    def call(
        act: Callable[[Task], Outcome], /, check: bool = False, **arguments: Any
    ) -> dict[str, Any]:
        given = {**arguments, "_ansible_check_mode": check}
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            run(SPEC, act)
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert bool(ended.value.code) is bool(result.get("failed"))
        return result

    return call


Returned = Callable[..., dict[str, Any]]


def test_an_outcome_is_the_result(returned: Returned) -> None:
    result = returned(lambda task: Outcome(True, {"size": task.params["size"]}), size="3")
    assert (result["changed"], result["size"]) == (True, 3)
    assert "diff" not in result


@pytest.mark.parametrize(
    ("before", "after"), [("a\n", "b\n"), ({}, {"a": 1}), ("", ""), ({"a": 1}, None)]
)
def test_an_outcome_may_have_a_diff(returned: Returned, before: Any, after: Any) -> None:
    result = returned(lambda task: Outcome(True, {}, before, after))
    assert result["diff"] == {"before": before, "after": after}


def test_a_plan_is_an_outcome(returned: Returned) -> None:
    change = plan([Field("size")], {"size": 1}, {"size": 2})
    result = returned(lambda task: Outcome.of(change, name="x"))
    assert result["changed"] is True
    assert result["name"] == "x"
    assert result["diff"] == {"before": {"size": 1}, "after": {"size": 2}}


@pytest.mark.parametrize(
    "error",
    [
        TaskError("no"),
        PlanError("no"),
        EngineError("no"),
        ConnectError(Request("GET", "http://x/y"), "no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_foreseen_error_is_a_message(returned: Returned, error: Exception) -> None:
    def act(task: Task) -> Outcome:
        raise error

    result = returned(act)
    assert (result["failed"], result["msg"]) == (True, str(error))
    assert "exception" not in result


def test_an_error_may_return_something_beside_its_message(returned: Returned) -> None:
    def act(task: Task) -> Outcome:
        raise TaskError("no", models=["a"])

    assert returned(act)["models"] == ["a"]


def test_an_error_that_nobody_foresaw_is_not_made_to_look_like_one() -> None:
    def act(task: Task) -> Outcome:
        raise KeyError("bug")

    with patch_module_args({}), pytest.raises(KeyError):
        run(SPEC, act)


@pytest.mark.parametrize("check", [True, False])
def test_work_is_done_outside_of_check_mode_only(returned: Returned, check: bool) -> None:
    done: list[bool] = []

    def work() -> str:
        done.append(True)
        return "real"

    def act(task: Task) -> Outcome:
        return Outcome(True, {"size": task.apply(work, "predicted")})

    assert returned(act, check=check)["size"] == ("predicted" if check else "real")
    assert done == ([] if check else [True])


def test_a_secret_is_masked_wherever_it_is_returned(returned: Returned) -> None:
    def act(task: Task) -> Outcome:
        raise TaskError(
            f"the server says: {task.params['pin']} is wrong", seen=[task.params["pin"]]
        )

    assert "opensesame" not in json.dumps(returned(act, pin="opensesame"))


def test_a_warning_is_ansibles(returned: Returned, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda module, text: warned.append(text))

    def act(task: Task) -> Outcome:
        task.warn("mind the gap")
        return Outcome(False)

    returned(act)
    assert warned == ["mind the gap"]


def test_the_transport_is_as_the_options_say(
    returned: Returned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(task: Task) -> Outcome:
        Http(url, task.transport(proxies={}), retry_seconds=0).call("GET", "/x")
        return Outcome(False)

    with serve(lambda request: answer(request, 200, {})) as server:
        url = server.url
        assert not returned(act, stall_seconds=1).get("failed")
        url = server.url.replace("http:", "https:")
        assert "TLS" in returned(act)["msg"]
        assert "/nowhere" in returned(act, ca_file="/nowhere")["msg"]


# Progress


def working(task: Task) -> Outcome:
    task.progress.state("a", "half")
    task.progress.done("a", "whole")
    return Outcome(bool(task.params["size"]))


def test_progress_is_written_where_the_action_looks(returned: Returned, tmp_path: Any) -> None:
    file = tmp_path / "progress"
    returned(working, size=1, progress_file=str(file))
    assert len(file.read_text().splitlines()) == 2


def test_nothing_is_left_where_the_action_does_not_look(returned: Returned, tmp_path: Any) -> None:
    file = tmp_path / "progress"
    returned(working, size=0, progress_file=str(file))
    assert not file.exists()


def test_progress_can_be_switched_off(returned: Returned, tmp_path: Any) -> None:
    file = tmp_path / "progress"
    returned(working, size=1, progress_file=str(file), progress=False)
    assert not file.exists()


# Documentation


@pytest.mark.parametrize(
    ("fragment", "options"),
    [(http_fragment, HTTP_OPTIONS), (progress_fragment, PROGRESS_OPTIONS)],
    ids=["http", "progress"],
)
def test_a_fragment_documents_the_options_of_its_name(
    fragment: Any, options: Mapping[str, Any]
) -> None:
    documented = yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"]
    facts = {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented.items()
    }
    assert facts == options
