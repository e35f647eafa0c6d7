# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Docker Engine of one box. Private to this collection.

::

    daemon      daemon.json: what it should say, and what the engine must do about a change   (pure)
    packages    which packages bring the engine onto which distribution                       (pure)
    lan         the drop of LAN traffic that Engine 28 has built in                           (pure)
    host        the box below the engine: files, processes, init system
    install     what has to be installed first
    box         what changes beside the engine: trust in a CA, the drop
    converge    brings the engine to its wanted state, by what it finds
"""
