"""Writes what the task named in RESULTS_TASK returned to the file RESULTS_FILE, as JSON."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: results
type: notification
short_description: Keep a task's result for the test that ran the play
description: Tests only.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "results"
    CALLBACK_NEEDS_ENABLED = True

    def _keep(self, result: Any) -> None:
        if result.task.action == os.environ["RESULTS_TASK"]:
            with open(os.environ["RESULTS_FILE"], "w", encoding="utf-8") as stream:
                json.dump(result.result, stream, default=str)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._keep(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._keep(result)
