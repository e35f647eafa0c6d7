# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real Ollama as a service of a systemd machine.

The tests are one story and run in order: installed, looked at from all sides, changed, killed, broken, rebooted, gone,
and found there from before. What they install is the real server, twice: with its version, and with a newer number.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.integration.ollama_native_box import (
    BRIDGED,
    NATIVE,
    NEIGHBOUR,
    NEW,
    OLD,
    Archive,
    Box,
    program,
)
from tests.rig.commands import run
from tests.rig.host import Host

LIES = b"#!/bin/sh\n[ \"$1\" = --version ] && echo 'client version is 0.13.9' && exit\nexit 1\n"
VENDOR = """\
[Unit]
Description=Ollama Service
After=network-online.target

[Service]
ExecStart=/usr/local/bin/ollama serve
User=root
Restart=always
RestartSec=3
Environment="PATH=/usr/local/bin:/usr/bin:/bin" "OLLAMA_HOST=0.0.0.0"
EnvironmentFile=-/etc/default/ollama

[Install]
WantedBy=default.target
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(Host("ollama-native"), tmp_path_factory.mktemp("native"))
    try:
        box.up()
        yield box
    finally:
        box.host.down()


@pytest.fixture(scope="module")
def old(box: Box) -> Archive:
    library: dict[str, bytes | str] = {
        "lib/ollama/libold.so.1": b"old",
        "lib/ollama/libold.so": "libold.so.1",
    }
    return box.put("old.tar.zst", OLD, {"bin/ollama": program(OLD), **library})


@pytest.fixture(scope="module")
def new(box: Box) -> Archive:
    return box.put("new.tar.zst", NEW, {"bin/ollama": program(NEW), "lib/ollama/libnew.so": b"new"})


def test_check_mode_predicts_everything_and_writes_nothing(box: Box, old: Archive) -> None:
    before = box.files()
    check = box.native(old, "--check", "--diff")
    assert box.files() == before
    real = box.native(old, "--diff")
    assert check.data["diff"] == real.data["diff"]
    assert check.actions == ["install packages zstd", *real.actions]
    assert box.foretold is not None  # before there was an engine
    assert box.foretold.actions == ["install packages nftables, zstd", *real.actions]
    assert box.foretold.data["url"] == real.data["url"]
    assert real.data["url"] == f"http://{box.address()}:11434"
    assert box.version() == OLD


def test_a_second_run_changes_nothing_and_costs_little(box: Box, old: Archive) -> None:
    files, pid = box.files(), box.pid()
    for arguments in ((), ("--check",)):
        again = box.native(old, *arguments)
        assert (again.data["changed"], again.actions) == (False, [])
    assert (box.files(), box.pid()) == (files, pid)
    tasks = re.findall(r"TASK \[(.+?)\]", again.output)
    assert [name for name in tasks if "Look after" in name] == [
        "gpubox.llm.ollama : native | Look after Ollama"
    ]


def test_it_listens_on_the_bridge_alone_and_is_nobody_special(box: Box) -> None:
    assert box.listens() == [box.address()]
    assert box.host.sh(f"stat -c %U /proc/{box.pid()}").strip() == "ollama"
    assert box.host.sh("stat -c %U /usr/share/ollama/.ollama/models").strip() == "ollama"
    assert "video" in box.host.sh("id --name --groups ollama").split()
    assert box.host.sh("su - box -c 'ollama list'").startswith("NAME")


@pytest.mark.parametrize("network", ["bridge", "other"])
def test_containers_reach_it_by_the_name_that_it_accepts(box: Box, network: str) -> None:
    assert box.version_in_container(network) == OLD


def test_the_lan_does_not_reach_it_and_would_without_the_table(box: Box, old: Archive) -> None:
    assert not box.lan_reaches()
    box.host.sh("nft delete table ip gpubox_ollama")
    assert box.lan_reaches()  # so it is the table that keeps it out, and the test sees through it

    pid = box.pid()
    assert box.native(old).actions == ["load the table that keeps the LAN out"]
    assert not box.lan_reaches()
    assert box.pid() == pid


def test_a_bridge_that_the_network_card_is_part_of_is_the_lan(box: Box, old: Archive) -> None:
    box.host.sh(BRIDGED)
    assert box.lan_reaches()  # any bridge would do, if it were not told apart
    assert "load the table that keeps the LAN out" in box.native(old).actions
    assert not box.lan_reaches()
    assert box.version_in_container("other") == OLD


def test_a_setting_restarts_it_once_and_goes_again(box: Box, old: Archive) -> None:
    more = {
        "ollama_environment": {
            "OLLAMA_CONTEXT_LENGTH": "8192",
            "HTTPS_PROXY": "http://me:canary@p:1",
        }
    }
    check = box.native(old, "--check", "--diff", **more)
    real = box.native(old, "--diff", **more)
    assert check.data["diff"] == real.data["diff"]
    assert real.actions[-1] == "restart Ollama for HTTPS_PROXY, OLLAMA_CONTEXT_LENGTH"
    assert "http://********@p:1" in real.output
    assert "canary" not in str(real.data["diff"])
    assert box.environ()["OLLAMA_CONTEXT_LENGTH"] == "8192"
    assert box.host.sh("stat -c %a /etc/gpubox/ollama.env").strip() == "600"
    assert box.native(old, **more).actions == []
    assert box.native(old).actions[-1] == "restart Ollama for OLLAMA_CONTEXT_LENGTH"
    assert "OLLAMA_CONTEXT_LENGTH" not in box.environ()


@pytest.mark.parametrize(
    "moment",
    [
        ".gpubox-ollama-new",  # it begins to unpack
        ".gpubox-ollama-new/bin/ollama",  # the program is half there
        ".gpubox-ollama-old",  # Ollama is stopped, and nothing is in its place
        ".gpubox-ollama-old/lib",  # the new one is in place, and has not answered
    ],
)
def test_an_upgrade_that_is_killed_converges(
    box: Box, old: Archive, new: Archive, moment: str
) -> None:
    box.native(old)
    # Ansible hands the module to a Python on its standard input; it is killed once the path is there.
    box.host.sh(
        "cat > /root/kill.sh <<'E'\n"
        f"until [ -e /usr/local/lib/{moment} ]; do :; done\n"
        "kill -9 $(pgrep -f '^/usr/bin/python3$')\nE\n"
        "setsid sh /root/kill.sh > /dev/null 2>&1 &"
    )
    assert box.play(NATIVE, **new.variables).code != 0
    box.native(new)
    assert box.version() == NEW
    assert box.native(new).actions == []
    assert box.host.sh("ls -A /usr/local/lib/ollama /usr/local/lib | grep -e lib -e gpubox").split() == [
        "/usr/local/lib:", "/usr/local/lib/ollama:", "libnew.so",
    ]  # fmt: skip


def test_a_version_that_does_not_answer_is_taken_back(box: Box, new: Archive) -> None:
    bad = box.put("bad.tgz", "0.13.9", {"bin/ollama": LIES})
    texts = box.host.sh("cat /etc/gpubox/ollama.* /etc/systemd/system/ollama.service.d/*")
    failed = box.refused(bad, ollama_context_length=4096)
    assert "Ollama 0.13.9 does not answer" in failed.message
    assert "are back" in failed.message
    box.wait(lambda: box.version() == NEW)
    assert box.host.sh("cat /etc/gpubox/ollama.* /etc/systemd/system/ollama.service.d/*") == texts
    assert box.native(new).actions == []


def test_an_archive_that_is_not_what_it_should_be_changes_nothing(
    box: Box, old: Archive, new: Archive
) -> None:
    wrong = {
        "has the SHA-256": Archive(OLD, old.path, "0" * 64),
        f"holds Ollama {OLD}, not 0.13.7": Archive("0.13.7", old.path, old.checksum),
        "there is no file": Archive(OLD, "/root/none.tgz", "0" * 64),
        "neither .tar.zst nor .tgz": box.put("plain.tar", OLD, {"bin/ollama": b"x"}),
        "leads out of the archive": box.put(
            "out.tar.zst", OLD, {"bin/ollama": b"x", "../../etc/cron.d/x": b"x"}
        ),
        "none holds bin/ollama": box.put("empty.tar.zst", OLD, {"lib/ollama/x": b"x"}),
    }
    files, pid = box.files(), box.pid()
    for words, archive in wrong.items():
        assert words in box.refused(archive).message
    assert (box.files(), box.pid()) == (files, pid)
    refused = box.refused(new, ollama_allow_insecure_version=False)
    assert "CVE-2026-7482" in refused.message


def test_a_reboot_without_docker_waits_and_listens_nowhere(box: Box) -> None:
    box.host.sh("systemctl disable --quiet docker.service docker.socket")
    run("docker", "restart", "--time", "20", box.host.container)
    box.wait(lambda: box.state() == "activating")
    time.sleep(3)
    assert (box.state(), box.listens()) == ("activating", [])
    assert "does not exist" in box.host.sh("ip link show docker0 2>&1 || true")

    box.host.sh("systemctl enable --now --quiet docker.service docker.socket")
    box.wait(lambda: box.state() == "active" and bool(box.listens()))
    assert box.listens() == [box.address()]
    assert box.version_in_container("bridge") == NEW


def test_a_reboot_keeps_the_lan_out(box: Box, new: Archive) -> None:
    box.native(new)
    run("docker", "restart", "--time", "20", box.host.container)
    box.wait(lambda: box.state() == "active" and bool(box.listens()))
    box.host.sh(NEIGHBOUR)
    assert not box.lan_reaches()
    assert box.native(new).actions == []


def test_it_goes_and_leaves_the_models(box: Box) -> None:
    check = box.absent("--check", "--diff")
    real = box.absent("--diff")
    assert (check.data["diff"], check.actions) == (real.data["diff"], real.actions)
    left = box.host.sh("find / -xdev -name '*ollama*' ! -path '/root/*'").split()
    home = ["/usr/share/ollama", "/usr/share/ollama/.ollama"]
    assert sorted(left) == [*home, "/var/lib/gpubox/ollama_native.json"]
    assert "gpubox_ollama" not in box.host.sh("nft list tables")
    assert box.absent().actions == []
    assert "remove the user ollama" in box.absent(keep=False).actions
    assert box.absent(keep=False).actions == []


def test_an_ollama_that_was_there_is_upgraded_and_its_settings_stay(box: Box, new: Archive) -> None:
    box.host.sh("cd /usr/local; zstd -dc /root/old.tar.zst | tar -x")
    box.host.sh(f"cat > /etc/systemd/system/ollama.service <<'E'\n{VENDOR}E")
    box.host.sh(
        "mkdir -p /etc/systemd/system/ollama.service.d /srv/models/blobs /srv/models/manifests"
    )
    box.host.sh("printf 'OLLAMA_HOST=0.0.0.0\\nOLLAMA_MODELS=/srv/models\\n' > /etc/default/ollama")
    drop_in = "[Service]\nEnvironment=OLLAMA_NUM_PARALLEL=3 OLLAMA_KEEP_ALIVE=9m\n"
    box.host.sh(f"cat > /etc/systemd/system/ollama.service.d/override.conf <<'E'\n{drop_in}E")
    box.host.sh("systemctl daemon-reload; systemctl enable --now --quiet ollama")
    box.wait(lambda: box.listens() == ["*"])

    variables = {"ollama_keep_alive": "24h", "ollama_models_dir": ""}
    done = box.native(new, **variables)
    assert f"install Ollama {NEW} (now {OLD})" in done.actions
    assert done.data["adopted"] == {"OLLAMA_NUM_PARALLEL": "3"}
    assert (box.listens(), box.version()) == ([box.address()], NEW)
    settings = {
        name: box.environ()[name]
        for name in ("OLLAMA_NUM_PARALLEL", "OLLAMA_KEEP_ALIVE", "OLLAMA_MODELS")
    }
    assert list(settings.values()) == ["3", "24h", "/srv/models"]
    assert box.host.sh("stat -c %U /srv/models/blobs").strip() == "ollama"
    assert box.host.sh("cat /etc/systemd/system/ollama.service") == VENDOR
    assert box.native(new, **variables).actions == []


def test_what_does_not_restart_is_not_restarted_for_the_engine(box: Box, new: Archive) -> None:
    pid = box.pid()
    box.host.sh("systemctl restart docker")
    assert box.native(new, ollama_keep_alive="24h", ollama_models_dir="").actions == []
    assert (box.pid(), box.version_in_container("other")) == (pid, NEW)


def test_a_firewall_that_is_restarted_takes_the_table_and_ollama_brings_it_back(
    box: Box, new: Archive
) -> None:
    kept = {"ollama_keep_alive": "24h", "ollama_models_dir": ""}
    box.host.sh("systemctl start nftables")  # Debian's begins by removing every table of the box
    assert box.lan_reaches()
    assert box.native(new, **kept).actions == ["load the table that keeps the LAN out"]
    box.host.sh("systemctl restart nftables")
    box.wait(lambda: bool(box.version()))
    assert not box.lan_reaches()
    box.host.sh("systemctl reload nftables")
    box.wait(lambda: not box.lan_reaches(), seconds=5)
    assert box.native(new, **kept).actions == []
