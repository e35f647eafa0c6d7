# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only shell around the modules' pure parts: arguments, check mode, result. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gpubox.llm.plugins.module_utils._errors import EngineError
from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    HttpError,
    Transport,
    transport,
)
from ansible_collections.gpubox.llm.plugins.module_utils._progress import Progress
from ansible_collections.gpubox.llm.plugins.module_utils._reconcile import Change, PlanError

__all__ = ["HTTP_OPTIONS", "PROGRESS_OPTIONS", "Outcome", "Task", "TaskError", "run"]

# The fragments of the same names in plugins/doc_fragments describe these.
HTTP_OPTIONS: dict[str, dict[str, Any]] = {
    "ca_file": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "connect_seconds": {"type": "int", "default": 10},
    "stall_seconds": {"type": "int", "default": 60},
}
PROGRESS_OPTIONS: dict[str, dict[str, Any]] = {
    "progress": {"type": "bool", "default": True},
    "closing_message": {"type": "str"},
    "progress_file": {"type": "path"},
}

T = TypeVar("T")


class TaskError(Exception):
    """The task fails with this message; ``details`` are returned beside it."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class Outcome:
    """What a module returns; ``before`` and ``after``, texts or data, are its diff."""

    changed: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    before: Any = None
    after: Any = None

    @classmethod
    def of(cls, change: Change, **result: Any) -> Outcome:
        """The outcome of one planned change."""
        return cls(change.changed, result, **change.diff())


class Task:
    """What the pure part of a module sees of Ansible."""

    def __init__(
        self,
        params: Mapping[str, Any],
        *,
        check_mode: bool = False,
        progress: Progress | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.params = params
        self.check_mode = check_mode
        self.progress = progress or Progress()
        self.warn = warn

    def apply(self, work: Callable[[], T], predicted: T) -> T:
        """Do ``work`` and return what it returns; in check mode do nothing and return ``predicted``."""
        return predicted if self.check_mode else work()

    def transport(self, **options: Any) -> Transport:
        """A transport as the options of the fragment ``_http`` say; ``options`` are those of ``_http.transport``."""
        given = {
            name: self.params[name] for name in HTTP_OPTIONS if self.params.get(name) is not None
        }
        return transport(**{**given, **options})


def run(spec: Mapping[str, Any], act: Callable[[Task], Outcome], **module_options: Any) -> None:
    """Be the module: read the arguments, ``act``, return its outcome or the message of a foreseen error."""
    module = AnsibleModule(argument_spec=dict(spec), supports_check_mode=True, **module_options)
    loud = module.params.get("progress", True)
    progress = Progress(module.params.get("progress_file") if loud else None)
    task = Task(module.params, check_mode=module.check_mode, progress=progress, warn=module.warn)
    try:
        outcome = act(task)
    except TaskError as error:
        module.fail_json(msg=str(error), **error.details)
    except (HttpError, PlanError, EngineError) as error:
        module.fail_json(msg=str(error))
    progress.end(outcome.changed)
    shown = outcome.before is not None or outcome.after is not None
    diff = {"diff": {"before": outcome.before, "after": outcome.after}} if shown else {}
    module.exit_json(changed=outcome.changed, **diff, **outcome.result)
