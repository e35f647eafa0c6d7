# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible takes its search path once per process: lookups and filters by their full names work in every test."""

from __future__ import annotations

from ansible.plugins.loader import init_plugin_loader

from tests.repository import ROOT

init_plugin_loader([str(ROOT / "collections")])
