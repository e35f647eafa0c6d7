# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama as a service of the box itself. Private to this collection.

::

    paths       where everything lies
    versions    which versions are refused, and why                              (pure)
    unit        what an existing unit says, and the texts that are written       (pure)
    table       the nftables table that keeps the LAN out                        (pure)
    plan        what differs, as steps                                           (pure)
    archive     the vendor's archive: fetched, checked, unpacked without a way out
    look        the box as it is
    apply       carries the steps out
    module      the module's body: look, plan, apply
"""
