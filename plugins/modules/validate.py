# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action plugin of the same name; nothing here ever runs on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate
short_description: List every fault in the variables before the first change
version_added: 0.1.0
description:
  - Holds the variables of a host against the argument specs of the collection's roles (types, ranges, choices, required
    and unknown keys, down to the item of a list) and against the rules that cross roles, such as a fallback to a model
    that nobody serves, or a private model that could end at a cloud provider.
  - Ends with all faults at once, each with the variable's path, its value (never a secret), the reason, the cure, and
    the file and line where it was written.
  - Runs on the controller only. The host is not contacted and nothing is ever changed.
  - Variables that begin with the name of a role or with C(llm_), and that no role and no other variable reads, are
    reported as well.
options:
  roles:
    description:
      - The roles whose variables are checked, with or without the collection's name.
      - By default all roles of the collection.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Checks the same in check mode.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
  idempotent:
    description: Never changes anything.
    support: full
author:
  - gpubox.llm maintainers (@gpubox)
"""

EXAMPLES = r"""
- name: Check every variable before the first change
  gpubox.llm.validate:
  tags: [always]

- name: Check what a play about the host alone uses
  gpubox.llm.validate:
    roles: [docker_host]
  tags: [always]
"""

RETURN = r"""
msg:
  description: How many faults there are. They are shown above this message, one paragraph for each.
  returned: failure
  type: str
  sample: 2 faults in the variables of gpu1; nothing was changed. They are listed above.
"""
