# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where everything of a native Ollama lies. Private to this collection."""

from __future__ import annotations

SERVICE = "ollama.service"
USER = "ollama"
HOME = "/usr/share/ollama"
MODELS = f"{HOME}/.ollama/models"
PREFIX = "/usr/local"
BINARY = f"{PREFIX}/bin/ollama"
LIBRARY = f"{PREFIX}/lib/ollama"
STAGED = f"{PREFIX}/lib/.gpubox-ollama-new"  # beside what it replaces: a rename swaps it in
KEPT = f"{PREFIX}/lib/.gpubox-ollama-old"  # what ran before, until the new one answers

UNIT = f"/etc/systemd/system/{SERVICE}"
# Drop-ins are read in the order of their names, and ours has the last word.
DROP_IN = f"{UNIT}.d/zz-gpubox.conf"
SETTINGS = "/etc/gpubox/ollama.env"
TABLE = "/etc/gpubox/ollama.nft"
PROFILE = "/etc/profile.d/gpubox-ollama.sh"
STATE = "/var/lib/gpubox/ollama_native.json"
DOWNLOADS = "/var/lib/gpubox/ollama"
# First found is the unit; systemd's own order.
UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
