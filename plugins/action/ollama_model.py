# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows how far the downloads of ollama_model are."""

from __future__ import annotations

from ansible_collections.gpubox.llm.plugins.plugin_utils.live import LiveAction


class ActionModule(LiveAction):
    """Runs the module and follows its progress."""
