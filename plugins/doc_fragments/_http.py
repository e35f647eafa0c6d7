# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of modules that speak HTTP. Private to this collection."""

from __future__ import annotations


class ModuleDocFragment:
    """HTTP_OPTIONS of ``module_utils/_runner.py``."""

    DOCUMENTATION = r"""
options:
  ca_file:
    description: Certificate authorities (PEM) to trust instead of those of the box.
    type: path
  validate_certs:
    description: Whether the certificates of servers are checked. Switch this off for a test only.
    type: bool
    default: true
  connect_seconds:
    description: How long making a connection may take, in seconds.
    type: int
    default: 10
  stall_seconds:
    description:
      - How long a server may send nothing, in seconds.
      - An answer that keeps coming may take as long as it needs.
    type: int
    default: 60
requirements:
  - The Python package C(requests) on the box
"""
