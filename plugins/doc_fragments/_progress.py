# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of modules that show what they are doing. Private to this collection."""

from __future__ import annotations


class ModuleDocFragment:
    """PROGRESS_OPTIONS of ``module_utils/_runner.py``."""

    DOCUMENTATION = r"""
options:
  progress:
    description:
      - Whether lines show what is being done.
      - On a terminal, with one box, they are redrawn in place; otherwise they come now and then.
    type: bool
    default: true
  closing_message:
    description: Text that the action plugin shows, as it is, after a run that was no check and ended well.
    type: str
  progress_file:
    description: File to which progress lines are appended; set by the action plugin.
    type: path
"""
