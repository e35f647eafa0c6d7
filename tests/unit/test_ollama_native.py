# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of ollama_native that are pure: versions, units, the table, the plan."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native import (
    archive,
    look,
    paths,
    plan,
    table,
    unit,
    versions,
)
from ansible_collections.gpubox.llm.plugins.module_utils._runner import TaskError

SUM = "a" * 64
BRIDGE = look.Bridge("docker0", "172.17.0.1", there=True)
WANTED = plan.Wanted("0.35.0", [archive.Archive("/x.tgz", SUM)], {}, paths.MODELS, 11434)
PROGRAMS = {"ip": "/usr/sbin/ip", "nft": "/usr/sbin/nft"}
BARE = look.Seen(
    absent=["nftables", "zstd"],
    bridge=replace(BRIDGE, there=False),
    lan=[],
    listing="",
    unit_path="",
    texts=dict.fromkeys([paths.UNIT, paths.DROP_IN, paths.SETTINGS, paths.TABLE, paths.PROFILE]),
    inherited={},
    version="",
    unfinished=False,
    state={},
    user=False,
    groups=["render"],
    service=look.Service(),
    programs=PROGRAMS,
)


def installed(wanted: plan.Wanted = WANTED, **changes: Any) -> look.Seen:
    """A box after the run that ``wanted`` asked for."""
    texts = plan.present(BARE, wanted, own_models=True).files
    service = look.Service(
        {"ActiveState": "active", "UnitFileState": "enabled"},
        paths.BINARY,
        unit.variables(texts[paths.SETTINGS]),
        paths.USER,
    )
    state = {"version": wanted.version, "checksums": [SUM], "account": True}
    done = replace(
        BARE,
        absent=[],
        bridge=BRIDGE,
        listing=texts[paths.TABLE],
        unit_path=paths.UNIT,
        texts=texts,
        version=wanted.version,
        state=state,
        user=True,
        groups=[],
        service=service,
    )
    return replace(done, **changes)


def actions(seen: look.Seen, wanted: plan.Wanted = WANTED, own_models: bool = False) -> list[str]:
    return list(plan.present(seen, wanted, own_models=own_models).actions)


# Versions


@pytest.mark.parametrize("version", ["0.35.0", "0.35.1", "v0.36.0", "1.0.0"])
def test_the_floor_and_what_is_newer_is_good(version: str) -> None:
    assert versions.faults(version) == []


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.34.2", "CVE-2026-103663"),
        ("0.34.1", "older than 0.35.0"),
        ("0.35.0-rc1", "CVE-2026-103663"),
        ("0.13.5", "CVE-2026-7482"),
        ("0.1.33", "CVE-2024-37032"),
    ],
)
def test_an_old_version_is_refused_for_what_it_has(version: str, words: str) -> None:
    assert words in "; ".join(versions.faults(version))


@pytest.mark.parametrize("version", ["latest", "0.35", "0.35.0; rm -rf /", "", "0.35.0.1"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        versions.faults(version)


# Units


def test_the_last_unit_text_wins_and_an_empty_line_forgets() -> None:
    texts = [
        '[Service]\nEnvironment="A=1" "B=two words"\nEnvironment=C=3\n# Environment=D=4\n',
        "[Service]\nEnvironment=\nEnvironment=B=5 \\\n  E=6\n[Install]\nEnvironment=F=7\n",
        "[Service]\nEnvironment='G=a\"b' H=50%%\n",
    ]
    assert unit.environment(texts[:1]) == {"A": "1", "B": "two words", "C": "3"}
    assert unit.environment(texts) == {"B": "5", "E": "6", "G": 'a"b', "H": "50%"}


def test_environment_files_are_those_after_the_last_empty_line() -> None:
    texts = [
        "[Service]\nEnvironmentFile=-/a\nEnvironmentFile=/b\n",
        "[Service]\nEnvironmentFile=\nEnvironmentFile=/c",
    ]
    assert unit.environment_files(texts[:1]) == ["/a", "/b"]
    assert unit.environment_files(texts) == ["/c"]


@pytest.mark.parametrize(
    "value", ["plain", "two words", 'a"b', "a\\b", "$HOME", "`id`", "ünï=x", ""]
)
def test_a_setting_arrives_as_it_was_given(value: str) -> None:
    text = unit.settings({"X": value}, "172.17.0.1", 11434, "/models")
    assert unit.variables(text)["X"] == value
    assert unit.variables(text)["OLLAMA_HOST"] == "172.17.0.1:11434"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"OLLAMA_HOST": "0.0.0.0"}, "OLLAMA_HOST cannot be set"),
        ({"OLLAMA_MODELS": "/x"}, "OLLAMA_MODELS cannot be set"),
        ({"A B": "x"}, "'A B' is no name"),
        ({"A": "x\nOLLAMA_HOST=0.0.0.0"}, "more than one line"),
    ],
)
def test_settings_that_would_break_out_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(TaskError, match=words):
        unit.check(given)


def test_the_wait_of_the_drop_in_is_what_a_shell_reads() -> None:
    text = unit.drop_in("docker0", "172.17.0.1", "/usr/sbin/ip", "/usr/sbin/nft")
    line = next(line for line in text.splitlines() if line.startswith("ExecStartPre=/bin/sh"))
    shell, flag, script = shlex.split(line.partition("=")[2])
    assert (shell, flag) == ("/bin/sh", "-c")
    read = ["sh", "-n", "-c", script.replace("$$", "$")]
    assert subprocess.run(read, check=False).returncode == 0


def test_nothing_secret_is_shown() -> None:
    shown = unit.masked('A="http://me:canary@proxy:1"\nMY_API_KEY="canary"\nOLLAMA_X="1"\n')
    assert "canary" not in shown
    assert 'OLLAMA_X="1"' in shown


# The table


def test_bridges_of_cards_and_virtual_machines_are_the_lan_and_those_of_containers_are_not() -> (
    None
):
    def port(master: str, kind: str | None) -> dict[str, Any]:
        info = {"info_slave_kind": "bridge", **({"info_kind": kind} if kind else {})}
        return {"ifname": "p", "master": master, "linkinfo": info}

    links = [
        {"ifname": "docker0", "linkinfo": {"info_kind": "bridge"}},
        port("docker0", "veth"),
        port("br0", None),
        port("br0", "veth"),
        port("virbr0", "tun"),
        {"ifname": "wlan0"},
    ]
    assert table.lan_bridges(links) == ["br0", "virbr0"]
    text = table.rules("172.17.0.1", 11434, ["virbr0", "br0"])
    assert 'iifname { "br0", "virbr0" } counter drop' in text
    assert text != table.rules("172.17.0.1", 11434)


# The plan


def test_a_bare_box_needs_everything_and_an_installed_one_nothing() -> None:
    assert actions(BARE, own_models=True)[0] == "install packages nftables"  # a .tgz needs no zstd
    assert actions(BARE)[-1] == "start Ollama"
    assert actions(installed()) == []


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ({"listing": ""}, ["load the table that keeps the LAN out"]),
        ({"groups": ["render"]}, ["add the user ollama to render"]),
        ({"unfinished": True}, ["install Ollama 0.35.0 (now 0.35.0)", "restart Ollama"]),
        ({"version": "0.34.0"}, ["install Ollama 0.35.0 (now 0.34.0)", "restart Ollama"]),
        (
            {"state": {"checksums": ["b" * 64]}},
            ["install Ollama 0.35.0 (now 0.35.0)", "restart Ollama"],
        ),
        ({"state": {}}, []),  # somebody else installed the right version
        ({"inherited": {"OLLAMA_X": "1"}}, ["restart Ollama for OLLAMA_X"]),
        ({"inherited": {"OLLAMA_HOST": "0.0.0.0"}}, []),
    ],
)
def test_what_differs_is_done_and_nothing_else(changes: dict[str, Any], done: list[str]) -> None:
    assert actions(installed(**changes)) == done


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ({"states": {"ActiveState": "failed"}}, ["enable ollama.service", "start Ollama"]),
        ({"program": ""}, ["start Ollama"]),
        ({"program": f"{paths.BINARY} (deleted)"}, ["restart Ollama for the program"]),
        ({"user": "root"}, ["restart Ollama for the user"]),
        ({"environ": {}}, ["restart Ollama for OLLAMA_HOST, OLLAMA_MODELS"]),
    ],
)
def test_the_running_process_decides_about_a_restart(
    changes: dict[str, Any], done: list[str]
) -> None:
    seen = installed()
    assert actions(replace(seen, service=replace(seen.service, **changes))) == done


def test_anothers_unit_is_left_alone() -> None:
    texts = {**installed().texts, paths.UNIT: "[Service]\nUser=root\n"}
    assert actions(installed(texts=texts)) == []
    removed = plan.absent(installed(texts=texts), [], keep_models=True)
    assert paths.UNIT not in removed.remove
    assert paths.DROP_IN in removed.remove


def test_the_diff_says_before_and_after_of_what_changes() -> None:
    more = replace(WANTED, environment={"OLLAMA_X": "1"})
    before, after = plan.shown(
        installed(), plan.present(installed(), more, own_models=False), "0.35.0"
    )
    assert set(after.splitlines()) - set(before.splitlines()) == {
        'OLLAMA_X="1"',
        "service: running",
    }
    nothing = plan.shown(installed(), plan.present(installed(), WANTED, own_models=False), "0.35.0")
    assert nothing[0] == nothing[1]


# The address


@pytest.mark.parametrize(
    ("used", "address"),
    [
        ([], "172.17.0.1"),
        (["172.17.3.1/24"], "172.18.0.1"),
        (["172.17.0.5/16", "172.18.9.9/30"], "172.19.0.1"),
    ],
)
def test_the_bridge_of_an_engine_that_is_not_there_yet_is_foretold(
    used: list[str], address: str
) -> None:
    infos = [text.partition("/")[::2] for text in used]
    links = [{"addr_info": [{"family": "inet", "local": a, "prefixlen": int(n)} for a, n in infos]}]
    assert look._first_free(links) == address


# The system


@pytest.mark.parametrize(
    ("kernel", "systemd", "words"),
    [
        ("4.4.0-19041-Microsoft", True, "this is WSL 1"),
        ("6.1.0-18-amd64", False, "Use ollama_placement: container, which needs only Docker.$"),
        ("6.6.87.2-microsoft-standard-WSL2", False, r"systemd=true in the section \[boot\]"),
    ],
)
def test_a_system_that_cannot_run_it_is_refused(
    kernel: str, systemd: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "read", lambda path: f"{kernel}\n")
    monkeypatch.setattr(look.os, "geteuid", lambda: 0)
    monkeypatch.setattr(look.os.path, "isdir", lambda path: systemd)
    with pytest.raises(TaskError, match=words):
        look._check_system()


def test_without_root_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look.os, "geteuid", lambda: 1000)
    with pytest.raises(TaskError, match="Set become: true"):
        look._check_system()
