# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The laws, over every case of every module; and each law finds the module that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.laws.case import Case, cases, playbook, record
from tests.unit.laws.toy import CASES as TOYS
from tests.unit.laws.toy import sinning

ALL = cases()


def params(chosen: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", chosen, ids=str)


@params(ALL)
def test_check_mode_only_reads(case: Case) -> None:
    for call in record(case).calls:
        writes = [request.shown for request in call.check.requests if not case.reading(request)]
        assert writes == []
        assert call.check.after == call.check.before


@params(ALL)
def test_a_prediction_equals_the_real_run(case: Case) -> None:
    for call in record(case).calls:
        unknown = {"invocation", *case.unpredictable}
        predicted, real = (
            {key: value for key, value in step.result.items() if key not in unknown}
            for step in (call.check, call.real)
        )
        assert predicted == real


@params(ALL)
def test_changed_says_whether_something_changed(case: Case) -> None:
    runs = record(case)
    assert runs.present.real.result["changed"] is case.changed
    for call in runs.calls:
        for step in (call.real, call.again):
            assert step.result["changed"] is (step.after != step.before)


@params(ALL)
def test_a_second_run_changes_nothing(case: Case) -> None:
    for call in record(case).calls:
        assert call.again.result["changed"] is False
        diff = call.again.result.get("diff") or {}
        assert diff.get("before") == diff.get("after")
        writes = [request.shown for request in call.again.requests if not case.reading(request)]
        assert writes == []


@params([case for case in ALL if case.absent])
def test_absent_undoes_present(case: Case) -> None:
    runs = record(case)
    assert runs.absent
    assert runs.absent.real.after == runs.present.check.before


@params([case for case in ALL if case.unmanaged])
def test_what_is_not_managed_stays(case: Case) -> None:
    assert case.unmanaged
    for call in record(case).calls:
        kept = case.unmanaged(call.check.before)
        assert kept, "there is nothing unmanaged that could be lost"
        assert case.unmanaged(call.again.after) == kept


@params([case for case in ALL if case.secrets])
def test_results_hold_no_secret(case: Case) -> None:
    for call in record(case).calls:
        for step in (call.check, call.real, call.again):
            assert [secret for secret in case.secrets if secret in step.output] == []


@params([case for case in ALL if case.secrets])
def test_a_verbose_playbook_shows_no_secret(case: Case) -> None:
    shown = playbook(case)
    assert [secret for secret in case.secrets if secret in shown] == []


# The laws themselves

LAWS: dict[str, Callable[[Case], None]] = {
    "writes in check mode": test_check_mode_only_reads,
    "predicts something else": test_a_prediction_equals_the_real_run,
    "changes and does not say so": test_changed_says_whether_something_changed,
    "changes every time": test_a_second_run_changes_nothing,
    "leaves something behind": test_absent_undoes_present,
    "overwrites": test_what_is_not_managed_stays,
    "returns the secret": test_results_hold_no_secret,
    "shows the secret": test_a_verbose_playbook_shows_no_secret,
}


@pytest.mark.parametrize("sin", LAWS)
def test_each_law_finds_who_breaks_it(sin: str) -> None:
    with pytest.raises(AssertionError):
        LAWS[sin](sinning(TOYS[0], sin))


def test_a_module_that_fails_breaks_every_law() -> None:
    with pytest.raises(AssertionError, match="required arguments: url"):
        record(replace(TOYS[0], arguments=lambda world: {}))


@params([case for case in ALL if case.secrets])
def test_the_secrets_of_a_case_are_sent(case: Case) -> None:
    sent = "".join(
        str(dict(one.headers)) + str(one.body) for one in record(case).present.real.requests
    )
    assert [secret for secret in case.secrets if secret not in sent] == []
