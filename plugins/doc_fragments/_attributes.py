# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module says of itself. Private to this collection."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes; a module repeats one only where it has something to add."""

    DOCUMENTATION = r"""
notes:
  - An option that is left out is not managed. An empty list, dictionary or string is wanted to be empty.
options: {}
attributes:
  check_mode:
    support: full
    description: Asks and compares, writes nothing, and returns what a real run would.
  diff_mode:
    support: full
    description: Shows what is managed before and after; never a secret.
  idempotent:
    support: full
    description: A second run changes nothing.
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: N/A
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
"""
