# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP: the only network I/O of the modules. Private to this collection.

A transport is a function from Request to Response. ``transport()`` makes the one that speaks to servers; a test passes
a fake. A status is no exception there. ``Http``, which API clients use, makes it one:

  HttpError
  ├── ConnectError     no connection: refused, unknown name, TLS, no URL
  ├── Stalled          connected, but no byte came for too long
  ├── Cut              the connection ended before the answer did
  ├── ProtocolError    the answer is not what it should be: not HTTP, not JSON, too many redirects
  └── StatusError      an answer with a status that the caller did not expect
      ├── NotFound         404
      ├── Unauthorized     401, 403
      └── RateLimited      429

The text of an error is method, URL, status and the server's words: no header, no query, no user or password.
"""

from __future__ import annotations

from ansible_collections.gpubox.llm.plugins.module_utils._http.client import Http, server_words
from ansible_collections.gpubox.llm.plugins.module_utils._http.messages import (
    ConnectError,
    Cut,
    HttpError,
    NotFound,
    ProtocolError,
    RateLimited,
    Request,
    Response,
    Stalled,
    StatusError,
    Transport,
    Unauthorized,
)
from ansible_collections.gpubox.llm.plugins.module_utils._http.wire import transport

__all__ = [
    "ConnectError",
    "Cut",
    "Http",
    "HttpError",
    "NotFound",
    "ProtocolError",
    "RateLimited",
    "Request",
    "Response",
    "Stalled",
    "StatusError",
    "Transport",
    "Unauthorized",
    "server_words",
    "transport",
]
