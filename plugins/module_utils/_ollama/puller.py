# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A short-lived Ollama that pulls for one that has no way to the Internet. Private to this collection.

::

    puller = Puller(container="gpubox-ollama-1", say=progress.say)
    with puller as url:
        ...                      # pull through url
        puller.replaced = True   # a model has other blobs than before: the old ones go at the end

The puller is a clone of the service's container: same user, mounts, limits and hardening, but on
``network`` only, by default one of its own, in which nobody else can speak to it. It reads its
standard input, which the run holds open, and ends when that closes: however a run dies, no Ollama
stays behind on the Internet. What was fetched so far is kept (the puller runs with OLLAMA_NOPRUNE),
and the next run resumes.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable, TextIO

from ansible_collections.gpubox.llm.plugins.module_utils._docker import EngineError, docker
from ansible_collections.gpubox.llm.plugins.module_utils._lock import acquire
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.container import (
    PORT,
    address,
    engine,
    environment_of,
    url_of,
)

__all__ = ["Puller", "address", "clone"]

LABEL = "gpubox.llm.puller"
LOCK = "/run/gpubox-{name}.lock"
CA_FILE = "/etc/gpubox-ca.pem"  # in the container
# What the box itself trusts, a company's authority included: Debian and its like, RHEL and its like.
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
START_SECONDS = 60
END_SECONDS = 15  # the script takes two, and Ollama as long as its disk does

# The shell is the container's first process: when it ends, the kernel ends everything else. Before
# that, Ollama gets the time to note how far the downloads came whose clients have gone.
SCRIPT = """
trap 'sleep 2; exit 0' TERM
{ ollama serve; kill -TERM 1; } </dev/null &
while read -r line; do :; done
sleep 2
"""
# What a clone has of the container's host configuration. Not: devices, ports, restart policy.
COPIED = (
    *("CapAdd", "CapDrop", "CpuPeriod", "CpuQuota", "CpuShares", "CpusetCpus", "CpusetMems"),
    *("Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd", "LogConfig", "Memory"),
    *("MemoryReservation", "MemorySwap", "NanoCpus", "OomScoreAdj", "PidsLimit", "ReadonlyRootfs"),
    *("SecurityOpt", "ShmSize", "Tmpfs", "Ulimits", "UsernsMode"),
)


def clone(
    seen: Mapping[str, Any],
    *,
    image: str,
    network: str,
    environment: Mapping[str, str],
    ca_file: str = "",
    prune: bool = False,
) -> dict[str, Any]:
    """What the engine is asked to create: ``seen``, which is a container as the engine describes it, as a puller."""
    config, host = seen["Config"], seen["HostConfig"]
    trusted = {"SSL_CERT_FILE": CA_FILE} if ca_file else {}
    own = {"OLLAMA_HOST": f"0.0.0.0:{PORT}", "OLLAMA_NOPRUNE": "0" if prune else "1"}
    variables = {**environment_of(seen), **environment, **trusted, **own}
    mounts = [{"Type": "bind", "Source": ca_file, "Target": CA_FILE, "ReadOnly": True}]
    return {
        "Image": image or config["Image"],
        "User": config.get("User") or "",
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Entrypoint": ["sh", "-c", SCRIPT],
        "Cmd": [],
        "Labels": {LABEL: seen["Name"].lstrip("/")},
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": True,
        "OpenStdin": True,
        "StdinOnce": True,  # its end is that of the first, and only, client
        "HostConfig": {
            **{key: host[key] for key in COPIED if host.get(key) is not None},
            "AutoRemove": True,
            "NetworkMode": network,
            "VolumesFrom": [seen["Id"]],
            "Mounts": mounts if ca_file else [],
        },
    }


class Puller:
    """The puller of one container: it is up while the context is entered, which yields its URL."""

    def __init__(
        self,
        *,
        container: str,
        network: str = "",
        image: str = "",
        environment: Mapping[str, str] | None = None,
        ca_file: str = "",
        lock_seconds: int = 3600,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = f"{container}-puller"
        self.replaced = False
        self._container = container
        self._image, self._network = image, network
        self._ca_file = ca_file or next(filter(os.path.isfile, BUNDLES), "")
        self._environment = dict(environment or {})
        self._lock_seconds = lock_seconds
        self._say = say
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> str:
        if self._ca_file and not os.path.isfile(self._ca_file):
            raise EngineError(
                f"ca_file: {self._ca_file} is no file on this box. Give the path of the certificates to trust."
            )
        self._api = engine()
        with contextlib.ExitStack() as stack:
            stack.enter_context(_lock(self.name, self._lock_seconds, self._say))
            self._clear()
            network = self._network or stack.enter_context(self._own_network())
            stack.push(self._leave)
            url = url_of(self._start(network))
            self._stack = stack.pop_all()
        return url

    def __exit__(self, *reason: Any) -> None:
        self._stack.__exit__(*reason)

    def _leave(self, kind: Any, *_details: Any) -> None:
        """End the puller, at once if nobody is downloading any more; then sweep."""
        if kind is not None:
            self._end(gently=True)
            return
        self._end(gently=False)
        if self.replaced:
            self._sweep()

    def _sweep(self) -> None:
        """Ollama removes what no model refers to when it starts; it needs no network for that."""
        try:
            self._start("none", prune=True)
        except EngineError as error:
            self._say(f"unused parts of replaced models were not removed: {error}")
        finally:
            self._end(gently=False)

    @contextlib.contextmanager
    def _own_network(self) -> Iterator[str]:
        """A network for it alone. One that a killed run left goes first."""
        try:
            with contextlib.suppress(docker.errors.NotFound):
                self._api.remove_network(self.name)
            alone = {"com.docker.network.bridge.enable_icc": "false"}
            labels = {LABEL: self._container}
            self._api.create_network(self.name, driver="bridge", options=alone, labels=labels)
        except docker.errors.APIError as error:
            raise EngineError(
                f"the network {self.name}, through which models are pulled, cannot be created: "
                f"{error.explanation or error}. Give the name of another one as network."
            ) from error
        try:
            yield self.name
        finally:
            with contextlib.suppress(docker.errors.APIError):  # the next run removes it
                self._api.remove_network(self.name)

    # -- one container -----------------------------------------------------------------------------------

    def _start(self, network: str, *, prune: bool = False) -> dict[str, Any]:
        """Create it, hold its standard input, start it, wait until it answers; the container as it is then."""
        try:
            seen = self._api.inspect_container(self._container)
            config = clone(
                seen,
                image=self._image,
                network=network,
                environment=self._environment,
                ca_file=self._ca_file,
                prune=prune,
            )
            self._api.create_container_from_config(config, name=self.name)
            self._input = self._api.attach_socket(self.name, params={"stdin": 1, "stream": 1})
            self._api.start(self.name)
            self._wait_until_ready()
            return self._api.inspect_container(self.name)
        except docker.errors.APIError as error:
            raise EngineError(
                f"the container {self.name}, which pulls models for {self._container}, cannot be started: "
                f"{error.explanation or error}. Bring the stack up first; check image and network of the puller."
            ) from error

    def _wait_until_ready(self) -> None:
        end, said = time.monotonic() + START_SECONDS, ""
        while time.monotonic() < end:
            code, output = self._try()
            if code == 0:
                return
            if code is None:
                raise EngineError(f"the container {self.name} ended at once. {said}")
            log = self._api.logs(self.name, tail=10).decode(errors="replace").strip()
            said = f"{output}\nThe last lines of its log:\n{log}"
            time.sleep(0.2)
        raise EngineError(
            f"Ollama in the container {self.name} does not answer after {START_SECONDS} s. {said}"
        )

    def _try(self) -> tuple[int | None, str]:
        """Whether Ollama answers inside of the container; None if the container is no longer there."""
        own = {"OLLAMA_HOST": f"127.0.0.1:{PORT}"}  # an HTTP proxy is not asked for that
        try:
            job = self._api.exec_create(self.name, ["ollama", "list"], environment=own)
            output = self._api.exec_start(job["Id"]).decode(errors="replace").strip()
            return int(self._api.exec_inspect(job["Id"])["ExitCode"]), output
        except docker.errors.APIError as error:
            return None, str(error)

    def _clear(self) -> None:
        """Wait for the puller of a run that was killed; it is about to end by itself."""
        with contextlib.suppress(docker.errors.NotFound):
            self._end(gently=self._api.inspect_container(self.name)["State"]["Running"])

    def _end(self, *, gently: bool) -> None:
        """End it; one that removes itself already answers with a conflict, and is gone a little later."""
        with contextlib.suppress(docker.errors.APIError):
            if gently:
                self._api.stop(self.name, timeout=END_SECONDS)
            self._api.remove_container(self.name, force=True)
        end = time.monotonic() + END_SECONDS
        with contextlib.suppress(docker.errors.NotFound):
            while time.monotonic() < end:
                self._api.inspect_container(self.name)
                time.sleep(0.05)
            raise EngineError(
                f"the container {self.name} cannot be removed. Remove it: docker rm -f {self.name}."
            )


@contextlib.contextmanager
def _lock(name: str, seconds: int, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock of this box for as long as the context; the file says who holds it."""
    try:
        descriptor = os.open(LOCK.format(name=name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except PermissionError as error:
        raise EngineError(f"{error}; run the play as root (become: true)") from error
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        _acquire(file, seconds, say)
        file.truncate(0)
        file.write(f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def _acquire(file: TextIO, seconds: int, say: Callable[[str], None]) -> None:
    def holder() -> str:
        file.seek(0)
        return file.read() or "unknown"

    def waiting(_waited: float) -> None:
        say(f"waiting for another run that is pulling models ({holder()})")

    if not acquire(file.fileno(), seconds, waiting):
        raise EngineError(
            f"another run ({holder()}) has been pulling models on this box for more than {seconds} s. "
            "Wait for it to end, then run again."
        )
