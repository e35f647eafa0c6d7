# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure parts of docker_engine: daemon.json, reload or restart, packages by distribution, the LAN drop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine import converge as _converge
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine import daemon as _daemon
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine import install as _install
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine import lan as _lan
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine import packages as _packages
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.daemon import (
    HostError,
    Loaded,
)
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.host import Host

ONE = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawGSJRYJKwYBBAHaRw8BAQdAnkOEI7tNfB4rXnAQrlxZaI+qAG/XJnxoWuT9
Q21TwW20GW9uZSA8b25lQGV4YW1wbGUuaW52YWxpZD6IkAQTFggAOBYhBHD45ur6
M9BIJYFa21h6fYCM+54VBQJrAZIlAhsDBQsJCAcCBhUKCQgLAgQWAgMBAh4BAheA
AAoJEFh6fYCM+54VkyoBAP640APjNdXK7x1PTvYH0a69cFlQsTJcffRKdX37q3vM
AQDlinaxtgQMJnYlav9so2QWibWbmBPaqNBKijDV0xmhBLg4BGsBkiUSCisGAQQB
l1UBBQEBB0B+uQyegLWH5hO8HlE91x2oJfDUXCje2+APQD/Gw/wVaAMBCAeIeAQY
FggAIBYhBHD45ur6M9BIJYFa21h6fYCM+54VBQJrAZIlAhsMAAoJEFh6fYCM+54V
MEwA/1Vu31qvWLJd97kqcSjkv73mPeR5JGpgwKUSiyTLBCnlAQDyoQEKtHCE2RTe
XH4sfN2AX7hsfWIQ2qIbenCP9LmLDQ==
=a9ql
-----END PGP PUBLIC KEY BLOCK-----
"""
# The key above and one more, whose fingerprint ends in ADDB.
TWO = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawGSJRYJKwYBBAHaRw8BAQdAnkOEI7tNfB4rXnAQrlxZaI+qAG/XJnxoWuT9
Q21TwW20GW9uZSA8b25lQGV4YW1wbGUuaW52YWxpZD6IkAQTFggAOBYhBHD45ur6
M9BIJYFa21h6fYCM+54VBQJrAZIlAhsDBQsJCAcCBhUKCQgLAgQWAgMBAh4BAheA
AAoJEFh6fYCM+54VkyoBAP640APjNdXK7x1PTvYH0a69cFlQsTJcffRKdX37q3vM
AQDlinaxtgQMJnYlav9so2QWibWbmBPaqNBKijDV0xmhBLg4BGsBkiUSCisGAQQB
l1UBBQEBB0B+uQyegLWH5hO8HlE91x2oJfDUXCje2+APQD/Gw/wVaAMBCAeIeAQY
FggAIBYhBHD45ur6M9BIJYFa21h6fYCM+54VBQJrAZIlAhsMAAoJEFh6fYCM+54V
MEwA/1Vu31qvWLJd97kqcSjkv73mPeR5JGpgwKUSiyTLBCnlAQDyoQEKtHCE2RTe
XH4sfN2AX7hsfWIQ2qIbenCP9LmLDZgzBGsBkiUWCSsGAQQB2kcPAQEHQDzw3F9e
lUeT2otgIIqkCDwwvXtePazvQWY089ky1j2HtBl0d28gPHR3b0BleGFtcGxlLmlu
dmFsaWQ+iJAEExYIADgWIQQhbzliwOUcLVhHSMlxP9+5Tpyt2wUCawGSJQIbAwUL
CQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRBxP9+5Tpyt22wbAP9ZubD37zmDMHQF
apmrEr4ebvLmGPsNIYz1tVI7oukVlgEAqg7tGuaIO0Ph0zt492R+Z1DN4nkKwYmG
HIYHPC++KAc=
=I5s1
-----END PGP PUBLIC KEY BLOCK-----
"""
ONE_FINGERPRINT = "70F8E6EAFA33D04825815ADB587A7D808CFB9E15"
URLS = _packages.Urls("https://mirror/docker", "http://mirror/debian", "http://mirror/sec")
MIRROR = "https://mirror.example.com"


@pytest.mark.parametrize("text", [None, "", " \n", "{}", "{}\n"])
def test_no_daemon_json_is_an_empty_one(text: str | None) -> None:
    assert _daemon.parse(text, "d") == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"debug": true, // mine\n}', "no valid JSON"),
        ('{\n  // mine\n  "debug": true\n}', "knows no comments"),
        ('# mine\n{"debug": true}', "knows no comments"),
        ('{"debug": true,}', "no valid JSON"),
        ("[]", "holds a list"),
        ("null", "holds a NoneType"),
    ],
)
def test_a_daemon_json_that_cannot_be_merged_is_refused_with_its_reason(
    text: str, why: str
) -> None:
    with pytest.raises(HostError, match=f"/etc/docker/daemon.json cannot be merged: .*{why}"):
        _daemon.parse(text, "/etc/docker/daemon.json")


MERGES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # what it shows, on the box, wanted, what we had written before, result
    ("nothing there", {}, {"ip": "127.0.0.1"}, {}, {"ip": "127.0.0.1"}),
    ("nothing wanted", {"debug": True}, {}, {}, {"debug": True}),
    (
        "a foreign key stays",
        {"data-root": "/d"},
        {"ip": "::1"},
        {},
        {"data-root": "/d", "ip": "::1"},
    ),
    ("ours wins", {"ip": "0.0.0.0"}, {"ip": "127.0.0.1"}, {}, {"ip": "127.0.0.1"}),
    ("ours changes", {"ip": "::1"}, {"ip": "127.0.0.1"}, {"ip": "::1"}, {"ip": "127.0.0.1"}),
    (
        "ours is withdrawn",
        {"ip": "127.0.0.1", "debug": True},
        {},
        {"ip": "127.0.0.1"},
        {"debug": True},
    ),
    ("changed since by others", {"ip": "0.0.0.0"}, {}, {"ip": "127.0.0.1"}, {"ip": "0.0.0.0"}),
    ("removed since by others", {}, {}, {"ip": "127.0.0.1"}, {}),
    (
        "false is a value",
        {"live-restore": True},
        {"live-restore": False},
        {},
        {"live-restore": False},
    ),
    (
        "objects merge",
        {"runtimes": {"nvidia": {"path": "n"}}},
        {"runtimes": {"kata": {"path": "k"}}},
        {},
        {"runtimes": {"nvidia": {"path": "n"}, "kata": {"path": "k"}}},
    ),
    (
        "a part of an object is withdrawn",
        {"features": {"cdi": True, "buildkit": True}},
        {},
        {"features": {"buildkit": True}},
        {"features": {"cdi": True}},
    ),
    (
        "a whole object is withdrawn",
        {"features": {"cdi": True}},
        {},
        {"features": {"cdi": True}},
        {},
    ),
    (
        "lists of texts merge, ours first",
        {"registry-mirrors": ["https://theirs"]},
        {"registry-mirrors": [MIRROR]},
        {},
        {"registry-mirrors": [MIRROR, "https://theirs"]},
    ),
    (
        "an entry is withdrawn",
        {"registry-mirrors": [MIRROR, "https://theirs"]},
        {},
        {"registry-mirrors": [MIRROR]},
        {"registry-mirrors": ["https://theirs"]},
    ),
    (
        "the last entry is withdrawn",
        {"registry-mirrors": [MIRROR]},
        {},
        {"registry-mirrors": [MIRROR]},
        {},
    ),
    (
        "lists of objects replace",
        {"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]},
        {"default-address-pools": [{"base": "172.20.0.0/16", "size": 24}]},
        {},
        {"default-address-pools": [{"base": "172.20.0.0/16", "size": 24}]},
    ),
    (
        "options of another log driver go",
        {"log-driver": "syslog", "log-opts": {"syslog-address": "udp://h"}},
        {"log-driver": "json-file", "log-opts": {"max-size": "10m"}},
        {},
        {"log-driver": "json-file", "log-opts": {"max-size": "10m"}},
    ),
    (
        "options of the same log driver stay",
        {"log-opts": {"labels": "x"}},
        {"log-driver": "json-file", "log-opts": {"max-size": "10m"}},
        {},
        {"log-driver": "json-file", "log-opts": {"labels": "x", "max-size": "10m"}},
    ),
    (
        "an odd type gives way",
        {"log-opts": 3},
        {"log-opts": {"a": "b"}},
        {},
        {"log-opts": {"a": "b"}},
    ),
]


@pytest.mark.parametrize(
    ("current", "wanted", "last", "result"),
    [case[1:] for case in MERGES],
    ids=[case[0] for case in MERGES],
)
def test_merge(
    current: dict[str, Any], wanted: dict[str, Any], last: dict[str, Any], result: dict[str, Any]
) -> None:
    assert _daemon.merge(current, wanted, last) == result
    assert _daemon.merge(result, wanted, wanted) == result  # and the next run changes nothing


DECISIONS: list[tuple[str, dict[str, Any], dict[str, Any] | None, dict[str, Any], str]] = [
    # what it shows, shall be, read by the engine (None: not known), shown by the engine, step
    ("as it should be", {"ip": "::1"}, {"ip": "::1"}, {}, "none"),
    ("foreign keys do not count", {"ip": "::1", "debug": True}, {"ip": "::1"}, {}, "none"),
    ("address of ports", {"ip": "::1"}, {}, {}, "restart"),
    ("mirror", {"registry-mirrors": [MIRROR]}, {}, {}, "reload"),
    (
        "mirror as Docker writes it",
        {"registry-mirrors": [MIRROR]},
        {},
        {"registry-mirrors": [MIRROR + "/"]},
        "none",
    ),
    ("live-restore", {"live-restore": True}, {"live-restore": False}, {}, "reload"),
    ("mirror and address", {"registry-mirrors": [MIRROR], "ip": "::1"}, {}, {}, "restart"),
    (
        "log options",
        {"log-opts": {"max-size": "1m"}},
        {"log-opts": {"max-size": "2m"}},
        {},
        "restart",
    ),
    ("not known but shown", {"live-restore": True}, None, {"live-restore": True}, "none"),
    ("not known and not shown", {"ip": "::1"}, None, {}, "restart"),
    ("not known, a reload is enough", {"labels": ["a=b"]}, None, {}, "reload"),
    (
        "a flag overrides the file",
        {"log-driver": "local"},
        {"log-driver": "local"},
        {"log-driver": "syslog"},
        "restart",
    ),
    ("runtimes", {"runtimes": {"nvidia": {}}}, {"runtimes": {}}, {}, "reload"),
    ("proxies", {"proxies": {"http-proxy": "http://p"}}, {}, {}, "restart"),
]


@pytest.mark.parametrize(
    ("target", "config", "shown", "step"),
    [case[1:] for case in DECISIONS],
    ids=[case[0] for case in DECISIONS],
)
def test_decide(
    target: dict[str, Any], config: dict[str, Any] | None, shown: dict[str, Any], step: str
) -> None:
    info = {
        "LoggingDriver": shown.get("log-driver"),
        "LiveRestoreEnabled": shown.get("live-restore"),
        "RegistryConfig": {"Mirrors": shown["registry-mirrors"]}
        if "registry-mirrors" in shown
        else None,
    }
    keys = set(target) - {"debug"}
    assert _daemon.decide(keys, target, Loaded(config, _daemon.observed(info)))[0] == step


def test_a_withdrawn_setting_needs_a_restart_because_a_reload_keeps_it() -> None:
    loaded = Loaded({"registry-mirrors": [MIRROR]}, {})
    assert _daemon.decide(["registry-mirrors"], {}, loaded) == ("restart", ["registry-mirrors"])


@pytest.mark.parametrize(
    ("registry", "fine"),
    [
        ("127.0.0.1:5000", True),
        ("127.0.0.0/8", True),
        ("localhost:5000", True),
        ("registry.localhost", True),
        ("[::1]:5000", True),
        ("::1", True),
        ("10.0.0.1:5000", False),
        ("0.0.0.0/0", False),
        ("registry.example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_only_loopback_registries_may_be_insecure(registry: str, fine: bool) -> None:
    config = {"insecure-registries": [registry]}
    if fine:
        _daemon.check(config)
    else:
        with pytest.raises(
            HostError, match=r"docker_host_insecure_registries.*docker_host_ca_file"
        ):
            _daemon.check(config)


@pytest.mark.parametrize(
    "pool",
    [
        {"base": "nonsense", "size": 24},
        {"base": "172.20.0.0/16"},
        {"base": "172.20.0.0/16", "size": 8},
        {"base": "172.20.0.0/24", "size": 31},
    ],
)
def test_a_pool_that_is_none_is_refused(pool: dict[str, Any]) -> None:
    with pytest.raises(HostError, match="docker_host_address_pools"):
        _daemon.check({"default-address-pools": [pool]})


def test_flags_leave_out_the_configuration_file() -> None:
    argv = [
        "/usr/sbin/dockerd",
        "-H",
        "fd://",
        "--config-file",
        "/x",
        "--config-file=/y",
        "$DOCKER_OPTS",
        "--debug",
    ]
    assert _daemon.flags(argv) == ["-H", "fd://", "--debug"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("26.1.5+dfsg1", (26, 1, 5)),
        ("v2.40.3", (2, 40, 3)),
        ("2.26.1-4", (2, 26, 1)),
        ("28", (28,)),
        ("dev", ()),
        (None, ()),
    ],
)
def test_versions(text: str | None, numbers: tuple[int, ...]) -> None:
    assert _daemon.version_tuple(text) == numbers


RELEASES = {
    "debian12": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm',
    "debian13": 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie',
    "debian11": 'ID=debian\nVERSION_ID="11"\nVERSION_CODENAME=bullseye',
    "sid": "ID=debian\nVERSION_CODENAME=forky",
    "ubuntu22": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy',
    "ubuntu24": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION_CODENAME=noble',
    "ubuntu20": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="20.04"\nVERSION_CODENAME=focal',
    "mint": 'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=virginia\nUBUNTU_CODENAME=jammy',
    "rhel9": 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"',
    "rocky9": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"',
    "oracle9": 'ID="ol"\nID_LIKE="fedora"\nVERSION_ID="9.4"',
    "fedora": "ID=fedora\nVERSION_ID=42",
    "arch": 'ID=arch\nPRETTY_NAME="Arch Linux"',
}


def system(name: str) -> _packages.Distribution:
    return _packages.distribution(_packages.os_release(RELEASES[name]))


@pytest.mark.parametrize(
    ("name", "source", "packages", "text"),
    [
        (
            "debian12",
            "auto",
            "docker.io containerd docker-cli docker-compose docker-buildx",
            "Suites: trixie\n",
        ),
        (
            "debian12",
            "distribution",
            "docker.io containerd docker-cli docker-compose docker-buildx",
            "Suites: trixie-security\n",
        ),
        ("debian13", "auto", "docker.io containerd docker-cli docker-compose docker-buildx", ""),
        ("sid", "auto", "docker.io containerd docker-cli docker-compose docker-buildx", ""),
        ("ubuntu22", "auto", "docker.io docker-compose-v2 docker-buildx", ""),
        ("ubuntu24", "distribution", "docker.io docker-compose-v2 docker-buildx", ""),
        ("mint", "auto", "docker.io docker-compose-v2 docker-buildx", ""),
        (
            "debian12",
            "docker",
            "docker-ce",
            "URIs: https://mirror/docker/debian\nSuites: bookworm\n",
        ),
        ("ubuntu24", "docker", "docker-ce", "URIs: https://mirror/docker/ubuntu\nSuites: noble\n"),
        ("mint", "docker", "docker-ce", "URIs: https://mirror/docker/ubuntu\nSuites: jammy\n"),
        ("rhel9", "auto", "docker-ce", "baseurl=https://mirror/docker/rhel/"),
        ("rocky9", "auto", "docker-ce", "baseurl=https://mirror/docker/centos/"),
        ("oracle9", "docker", "docker-ce", "baseurl=https://mirror/docker/centos/"),
        ("fedora", "auto", "docker-ce", "baseurl=https://mirror/docker/fedora/"),
    ],
)
def test_packages_by_distribution(name: str, source: str, packages: str, text: str) -> None:
    offer = _packages.offer(system(name), source, URLS)
    assert offer.engine[: len(packages.split())] == tuple(packages.split())
    assert text in "\n".join(offer.files.values())
    assert bool(text) == bool(offer.files)
    assert ("docker-ce" in offer.engine) == bool(offer.key)
    assert "compose" in offer.plugin("compose")
    assert "buildx" in offer.plugin("buildx")


@pytest.mark.parametrize(
    ("name", "source", "why"),
    [
        ("debian11", "auto", "no Docker Engine that is new enough"),
        ("ubuntu20", "distribution", "no Docker Engine that is new enough"),
        ("rocky9", "distribution", "docker_host_source: docker"),
        ("arch", "auto", "knows no packages of Docker Engine for Arch Linux"),
        ("arch", "docker", "knows no packages of Docker Engine for Arch Linux"),
    ],
)
def test_a_distribution_without_an_engine_is_told_what_to_do(
    name: str, source: str, why: str
) -> None:
    with pytest.raises(HostError, match=why):
        _packages.offer(system(name), source, URLS)


def test_debian_13_is_pinned_so_that_only_the_engine_comes_from_there() -> None:
    files = _packages.offer(system("debian12"), "auto", URLS).files
    first, rest = files["/etc/apt/preferences.d/gpubox-trixie"].split("\n\n")
    assert "Package: docker.io containerd docker-cli docker-compose docker-buildx\n" in first
    assert "Pin-Priority: 990" in first
    assert rest == "Package: *\nPin: release n=trixie*\nPin-Priority: 100\n"


def test_no_security_mirror_is_no_security_source() -> None:
    urls = _packages.Urls("", "http://mirror/debian", "")
    files = _packages.offer(system("debian12"), "auto", urls).files
    assert "security" not in files["/etc/apt/sources.list.d/gpubox-trixie.sources"]


def test_the_signing_key_is_known_by_its_fingerprint() -> None:
    text = f"some proxy's banner\n{ONE}trailing"
    assert _packages.check_key(text, ONE_FINGERPRINT, "u") == ONE


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ONE, ONE_FINGERPRINT),  # a wrong key
        (TWO, "216F3962C0E51C2D584748C9713FDFB94E9CADDB"),  # the right one and another
        (ONE + ONE, "2 key blocks"),
        ("<html>Access denied</html>", "0 key blocks"),
        (ONE.replace("mDME", "!!!!"), "1 key blocks"),
    ],
    ids=["wrong", "two", "blocks", "html", "damaged"],
)
def test_any_other_signing_key_is_refused(text: str, found: str) -> None:
    wanted = ONE_FINGERPRINT if text != ONE else _packages.DEB_KEY
    with pytest.raises(HostError, match="https://mirror/gpg is not the signing key") as caught:
        _packages.check_key(text, wanted, "https://mirror/gpg")
    assert found in str(caught.value)


NETWORKS = [
    {
        "Driver": "bridge",
        "IPAM": {"Config": [{"Subnet": "172.18.0.0/24"}, {"Subnet": "fd00::/64"}]},
    },
    {"Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.5.0.0/16"}]}},
    {"Driver": "macvlan", "IPAM": {"Config": [{"Subnet": "192.168.1.0/24"}]}},
    {"Driver": "host", "IPAM": {"Config": None}},
]


def test_the_drop_knows_pools_and_bridges_but_no_network_of_the_lan() -> None:
    config = {"default-address-pools": [{"base": "172.18.0.0/15", "size": 24}]}
    found = _lan.networks(config, NETWORKS)
    assert [str(network) for network in found] == ["10.5.0.0/16", "172.18.0.0/15", "fd00::/64"]
    text = _lan.rules(found)
    assert (
        "set containers4 { type ipv4_addr; flags interval; elements = { 10.5.0.0/16, 172.18.0.0/15 } }"
        in text
    )
    assert "elements = { fd00::/64 }" in text


def test_the_drop_is_in_force_only_as_a_whole() -> None:
    text = _lan.rules(_lan.networks({}, NETWORKS))
    other = _lan.rules(_lan.networks({}, NETWORKS[1:]))
    rules = text.splitlines()
    assert _lan.in_force(text, text)
    assert not _lan.in_force("", text)
    assert not _lan.in_force(other, text)
    assert not _lan.in_force("\n".join(line for line in rules if "127.0.0.0/8" not in line), text)
    assert not _lan.in_force(text + '  accept comment "let me in"\n', text)


@pytest.mark.parametrize(
    ("version", "config", "needed"),
    [
        ((26, 1, 5), {}, True),
        ((27, 5), {}, True),
        ((28, 0, 0), {}, False),
        ((29,), {}, False),
        ((26,), {"iptables": False}, False),
    ],
)
def test_engine_28_needs_no_drop(
    version: tuple[int, ...], config: dict[str, Any], needed: bool
) -> None:
    assert _lan.needed(version, config) is needed


class FakeHost(Host):
    """A box whose dockerd belongs to a package."""

    def __init__(self, owner: str | None = None) -> None:
        self._owner = owner

    def engine_package(self) -> str | None:
        return self._owner

    def absent_packages(self, names: Sequence[str]) -> list[str]:
        return list(names)


def plan(
    monkeypatch: pytest.MonkeyPatch,
    release: str,
    owner: str | None,
    look: _converge.Look,
    **params: Any,
) -> _install.Install:
    monkeypatch.setattr(_install, "read", lambda path: RELEASES[release])
    monkeypatch.setattr(_install, "find_spec", lambda module: object())
    monkeypatch.setattr(_install.shutil, "which", lambda name: None)
    monkeypatch.setattr(_install.os.path, "exists", lambda path: False)
    defaults = {
        "source": "auto",
        "docker_url": "https://d",
        "debian_url": "http://m",
        "debian_security_url": "",
    }
    given = {**defaults, "packages": [], "ca": "", "lan_drop": True, **params}
    return _install.plan_install(FakeHost(owner), look, given)


def look(
    version: str | None = None,
    compose: str | None = "2.26.1-4",
    buildx: str | None = "0.13",
    foreign: bool = False,
) -> _converge.Look:
    return _converge.Look(version, {} if foreign else None, None, compose, buildx)


def test_a_bare_box_gets_everything_and_the_drop_only_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    debian = plan(
        monkeypatch, "debian12", None, look(compose=None, buildx=None), packages=["mmdebstrap"]
    )
    assert debian.base == ["mmdebstrap", "nftables"]
    assert "docker.io" in debian.engine
    repository = plan(monkeypatch, "ubuntu24", None, look(), source="docker")
    assert repository.base == ["ca-certificates"]
    assert "docker-ce" in repository.engine


def test_an_engine_that_is_new_enough_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not plan(monkeypatch, "debian12", "docker-ce", look("28.3.3"), source="distribution")
    assert not plan(monkeypatch, "arch", None, look("28.3.3"))
    assert not plan(monkeypatch, "ubuntu24", None, look("27.0.1", foreign=True))


def test_only_the_plugin_that_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan(monkeypatch, "debian12", "docker.io", look("28.0", compose=None)).engine == [
        "docker-compose"
    ]
    assert plan(monkeypatch, "ubuntu24", "docker-ce", look("28.0", compose=None)).engine == [
        "docker-compose-plugin"
    ]
    assert plan(monkeypatch, "ubuntu24", "docker.io", look("28.0", buildx=None)).engine == [
        "docker-buildx"
    ]


@pytest.mark.parametrize(
    ("owner", "seen", "cure"),
    [
        ("docker.io", look("20.10.24", compose=None), "Set docker_host_source: distribution"),
        ("docker-ce", look("24.0.9"), "Set docker_host_source: docker "),
        ("docker-ce", look("26.1.0", compose="2.18.1"), "Docker Compose 2.18.1 is too old"),
        (None, look("20.10.24"), "No package owns this dockerd"),
        (None, look("20.10.24", foreign=True), "Docker Desktop"),
        (None, look("28.0.1", compose=None, foreign=True), "Compose v2 or buildx is missing"),
    ],
)
def test_an_engine_that_is_too_old_is_never_replaced_unasked(
    monkeypatch: pytest.MonkeyPatch, owner: str | None, seen: _converge.Look, cure: str
) -> None:
    with pytest.raises(HostError) as caught:
        plan(monkeypatch, "debian12", owner, seen)
    assert cure in str(caught.value)


def test_an_old_engine_is_upgraded_when_its_source_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    debian = plan(
        monkeypatch, "debian12", "docker.io", look("20.10.24", compose=None), source="distribution"
    )
    assert debian.result("")["state"] == "latest"
    assert [item["path"] for item in debian.result("")["files"]] == [
        "/etc/apt/sources.list.d/gpubox-trixie.sources",
        "/etc/apt/preferences.d/gpubox-trixie",
    ]


def test_a_source_that_the_box_has_is_not_named_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    debian = plan(monkeypatch, "debian12", None, look())
    files = debian.result("deb http://deb.debian.org/debian trixie main\n")["files"]
    assert [item["path"] for item in files] == ["/etc/apt/preferences.d/gpubox-trixie"]
    repository = plan(monkeypatch, "ubuntu24", None, look(), source="docker")
    result = repository.result("deb [signed-by=/k] https://d/ubuntu noble stable\n")
    assert (result["files"], result["key"]) == ([], {})


def test_a_python_that_packages_do_not_reach_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_install, "find_spec", lambda module: None)
    monkeypatch.setattr(_install.sys, "executable", "/opt/venv/bin/python3")
    with pytest.raises(HostError, match="ansible_python_interpreter is /opt/venv/bin/python3"):
        _install._python(system("debian12"))
    monkeypatch.setattr(_install.sys, "executable", "/usr/bin/python3")
    assert _install._python(system("rocky9")) == [
        "python3-docker",
        "python3-requests",
        "python3-pyyaml",
    ]
