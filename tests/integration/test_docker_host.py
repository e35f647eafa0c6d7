# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role docker_host on a bare Debian 12 without an init system: a privileged container that gets its own engine.

The tests are one story and run in order: nothing there, installed, unchanged, reconfigured, broken, repaired.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
IMAGE = "docker-host-test/bookworm:2"
NAME = "docker-host-test"
PACKAGES = "python3,ca-certificates,iproute2,busybox-static"
PLAY = "- {hosts: all, gather_facts: false, roles: [gpubox.llm.docker_host]}\n"
INVENTORY = {
    "ansible_connection": "ssh",
    "ansible_ssh_executable": str(HERE / "docker_host_ssh"),
    "ansible_ssh_transfer_method": "piped",
    "ansible_ssh_args": "",
    "ansible_python_interpreter": "/usr/bin/python3",
}


class Box:
    """The container, and Ansible aimed at it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sh(self, *lines: str) -> str:
        done = subprocess.run(
            ["docker", "exec", "-i", NAME, "sh", "-ec", "\n".join(lines)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def play(
        self, *arguments: str, fails: bool = False, user: str = "root", **variables: Any
    ) -> str:
        inventory, play = self._folder / "inventory.yml", self._folder / "play.yml"
        hosts = {"all": {"hosts": {NAME: {**INVENTORY, **variables}}}}
        inventory.write_text(json.dumps(hosts), encoding="utf-8")
        play.write_text(PLAY, encoding="utf-8")
        tool = Path(sys.executable).parent / "ansible-playbook"
        done = subprocess.run(
            [str(tool), "-i", str(inventory), str(play), "--diff", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=400,
            cwd=ROOT,
            env={**os.environ, "TEST_DOCKER_HOST_USER": user, "ANSIBLE_NOCOLOR": "1"},
        )
        output = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, output
        return re.sub(r"\s+", " ", output) if fails else output

    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.sh("cat /etc/docker/daemon.json")))

    def pid(self) -> str:
        return self.sh("cat /var/run/docker.pid")

    def started(self, container: str) -> str:
        return self.sh(
            f"docker inspect -f '{{{{.State.Pid}}}} {{{{.State.StartedAt}}}}' {container}"
        )


def changed(output: str) -> int:
    return int(re.findall(r"changed=(\d+)", output)[-1])


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("docker_host")
    if subprocess.run(
        ["docker", "image", "inspect", IMAGE], check=False, capture_output=True
    ).returncode:
        tar = folder / "base.tar"
        subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={PACKAGES}",
                "bookworm",
                str(tar),
            ],
            check=True,
        )
        subprocess.run(["docker", "import", str(tar), IMAGE], check=True, capture_output=True)
    remove = ["docker", "rm", "--force", "--volumes", NAME]
    subprocess.run(remove, check=False, capture_output=True)
    run = [
        "docker",
        "run",
        "--detach",
        "--privileged",
        "--name",
        NAME,
        "--volume",
        "/var/lib/docker",
    ]
    subprocess.run([*run, IMAGE, "sleep", "infinity"], check=True, capture_output=True)
    yield Box(folder)
    subprocess.run(remove, check=False, capture_output=True)


def test_check_mode_on_a_bare_box_predicts_everything_and_writes_nothing(box: Box) -> None:
    folders = "/etc /usr /var/lib /var/cache /opt"
    listing = f"find {folders} -type f -print0 | xargs -0 ls -l --time-style=full-iso | md5sum"
    before = box.sh(listing)
    output = box.play("--check")
    assert "install python3-docker, python3-requests, python3-yaml, nftables, docker.io" in output
    assert '+  "live-restore": true' in output
    assert "start Docker Engine" in output
    assert changed(output) == 1
    assert box.sh(listing) == before


def test_without_rights_it_says_so(box: Box) -> None:
    assert "Set ansible_become: true" in box.play(fails=True, user="nobody")


def test_an_engine_that_is_too_old_and_nobodys_package_is_not_touched(box: Box) -> None:
    box.sh(
        "printf '#!/bin/sh\\necho Docker version 20.10.24, build x\\n' > /usr/local/sbin/dockerd",
        "chmod +x /usr/local/sbin/dockerd",
    )
    output = box.play(fails=True)
    box.sh("rm /usr/local/sbin/dockerd")
    assert (
        "Docker Engine 20.10.24 is too old: 25 or newer is needed. No package owns this dockerd"
        in output
    )


def test_a_mirror_that_cannot_be_reached_is_named_with_its_variable(box: Box) -> None:
    output = box.play(fails=True, docker_host_debian_url="http://127.0.0.1:9/debian")
    assert "could not install" in output
    assert "http://127.0.0.1:9/debian" in output
    assert "docker_host_debian_url" in output


def test_one_run_installs_the_engine_of_debian_13_and_nothing_else_from_there(box: Box) -> None:
    box.play()
    assert box.sh("docker version --format '{{.Server.Version}}'").startswith("26.")
    assert box.sh("docker compose version --short").startswith("2.")
    assert box.sh("python3 -c 'import docker, requests, yaml'") == ""
    newer = box.sh("dpkg-query -W -f '${Package} ${Version}\\n' libc6 runc iptables")
    assert all(
        "deb12" in line or line.startswith("iptables 1.8.9") for line in newer.splitlines()
    ), newer
    assert "0 upgraded" in box.sh("apt-get -s dist-upgrade")


def test_the_second_run_changes_nothing_in_one_call(box: Box) -> None:
    before = box.pid()
    output = box.play()
    assert changed(output) == 0
    tasks = re.findall(r"TASK \[gpubox.llm.docker_host : (.+?)\]", output)
    assert [name for name in tasks if not name.startswith("Validating arguments")] == [
        "Look after Docker Engine"
    ]
    assert box.pid() == before
    assert changed(box.play("--check")) == 0


def test_the_engine_uses_what_the_variables_say(box: Box) -> None:
    box.sh("cp /bin/busybox /tmp/busybox; tar -C /tmp -c busybox | docker import - bb")
    box.sh("docker run -d --name keep -p 8080:8080 bb /busybox httpd -f -p 8080 -h /")
    box.sh(
        "docker network create extra",
        "docker run -d --name other --network extra -p 8082:8080 bb /busybox httpd -f -p 8080 -h /",
    )
    assert box.sh("docker port keep; docker port other").splitlines() == [
        "8080/tcp -> 127.0.0.1:8080",
        "8080/tcp -> 127.0.0.1:8082",
    ]
    assert json.loads(box.sh("docker inspect -f '{{json .HostConfig.LogConfig}}' keep")) == {
        "Type": "json-file",
        "Config": {"max-size": "10m", "max-file": "3"},
    }
    assert box.sh("docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' extra").endswith(
        "/24"
    )


def test_a_foreign_key_stays_and_a_mirror_needs_only_a_reload(box: Box) -> None:
    box.sh("sed -i '1a \"max-concurrent-uploads\": 7,' /etc/docker/daemon.json")
    pid = box.pid()
    mirror: dict[str, Any] = {"docker_host_registry_mirrors": ["https://mirror.example.invalid"]}
    assert "reload Docker Engine for registry-mirrors" in box.play("--check", **mirror)
    assert "reload Docker Engine for registry-mirrors" in box.play(**mirror)
    assert changed(box.play(**mirror)) == 0
    assert box.config()["max-concurrent-uploads"] == 7
    assert "mirror.example.invalid" in box.sh("docker info")
    assert box.pid() == pid


def test_a_setting_that_is_withdrawn_is_gone_and_containers_live_through_the_restart(
    box: Box,
) -> None:
    pid, container = box.pid(), box.started("keep")
    assert "restart Docker Engine for registry-mirrors" in box.play()
    assert "registry-mirrors" not in box.config()
    assert box.config()["max-concurrent-uploads"] == 7
    assert "mirror.example.invalid" not in box.sh("docker info")
    assert box.pid() != pid
    assert box.started("keep") == container


def test_live_restore_comes_on_before_the_restart_that_needs_it(box: Box) -> None:
    box.play(docker_host_live_restore=False)
    container = box.started("keep")
    output = box.play(docker_host_log_options={"max-size": "11m", "max-file": "3"})
    assert "restart Docker Engine for live-restore, log-opts" in output
    assert box.started("keep") == container


@pytest.mark.parametrize("forget", ["", "rm /var/lib/gpubox/docker_engine.json"])
def test_a_run_that_died_between_writing_and_restarting_converges(box: Box, forget: str) -> None:
    size = "13m" if forget else "12m"
    box.sh(f'sed -i \'s/"max-size": .*,/"max-size": "{size}",/\' /etc/docker/daemon.json; {forget}')
    options: dict[str, Any] = {"docker_host_log_options": {"max-size": size, "max-file": "3"}}
    pid = box.pid()
    assert "restart Docker Engine for" in box.play(**options)
    assert box.pid() != pid
    assert changed(box.play(**options)) == 0


def test_an_engine_that_stopped_is_started(box: Box) -> None:
    box.play()
    box.sh(
        "kill $(cat /var/run/docker.pid); while docker info >/dev/null 2>&1; do sleep 0.1; done; sleep 1"
    )
    assert "start Docker Engine" in box.play()
    assert changed(box.play()) == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"docker_host_insecure_registries": ["registry.example.com"]},
            "docker_host_insecure_registries: 'registry.example.com'",
        ),
        (
            {"docker_host_address_pools": [{"base": "172.17.0.1/16", "size": 24}]},
            "docker_host_address_pools",
        ),
        ({"docker_host_daemon": {"no-such-key": 1}}, "no-such-key"),
        ({"docker_host_ca_file": "-----BEGIN PRIVATE KEY-----"}, "docker_host_ca_file"),
        ({"docker_host_ca_file": "/no/such.pem"}, "docker_host_ca_file: '/no/such.pem' is neither"),
        ({"docker_host_source": "snap"}, "docker_host_source"),
    ],
    ids=["registry", "pool", "key", "private", "ca", "source"],
)
def test_bad_input_is_refused_before_anything_changes(
    box: Box, variables: dict[str, Any], words: str
) -> None:
    pid, config = box.pid(), box.config()
    output = box.play(fails=True, **variables)
    assert words in output
    assert (box.pid(), box.config()) == (pid, config)


def test_a_daemon_json_that_nobody_can_read_is_left_alone(box: Box) -> None:
    box.sh(
        "cp /etc/docker/daemon.json /root/good; sed -i '1a // ours' /etc/docker/daemon.json",
        "cp -p /etc/docker/daemon.json /root/bad",
    )
    output = box.play(fails=True)
    box.sh("cmp /root/bad /etc/docker/daemon.json; mv /root/good /etc/docker/daemon.json")
    assert "/etc/docker/daemon.json cannot be merged: JSON knows no comments" in output
    box.play()


def test_a_configuration_that_the_engine_does_not_start_with_is_taken_back(box: Box) -> None:
    config = box.config()
    output = box.play(
        fails=True,
        docker_host_daemon={"data-root": "/proc/nowhere"},
        docker_host_start_timeout_seconds=8,
    )
    assert "does not answer" in output
    assert "/proc/nowhere" in output  # from the engine's own log
    assert "the engine runs with it again" in output
    assert box.config() == config
    assert changed(box.play()) == 0


def test_a_flag_that_contradicts_is_named(box: Box) -> None:
    box.sh("kill $(cat /var/run/docker.pid); while [ -e /var/run/docker.pid ]; do sleep 0.1; done")
    box.sh(
        "setsid dockerd --log-level=warn >/var/log/dockerd.log 2>&1 & sleep 0.1",
        "until docker info >/dev/null 2>&1; do sleep 0.2; done",
    )
    output = box.play(fails=True, docker_host_daemon={"log-level": "info"})
    assert "log-level: (from flag: warn, from file: info)" in output
    assert "restart" in box.play(docker_host_log_options={"max-size": "14m", "max-file": "3"})
    assert "--log-level=warn" in box.sh("tr '\\0' ' ' < /proc/$(cat /var/run/docker.pid)/cmdline")
    box.play()


def test_an_engine_that_runs_elsewhere_is_used_as_it_is(box: Box) -> None:
    box.sh("mv /var/run/docker.pid /root/")
    output = box.play(docker_host_log_options={"max-size": "99m", "max-file": "3"})
    box.sh("mv /root/docker.pid /var/run/")
    assert changed(output) == 0


def test_the_company_ca_reaches_the_box_and_its_engine_and_goes_again(box: Box) -> None:
    box.sh(
        "cd /root",
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Company -keyout k.pem -out ca.pem 2>/dev/null",
    )
    pem, pid = box.sh("cat /root/ca.pem") + "\n", box.pid()
    verify = "openssl verify -CApath /etc/ssl/certs /root/ca.pem 2>&1 || true"
    output = box.play(docker_host_ca_file=pem)
    assert "restart Docker Engine for company CA" in output
    assert box.pid() != pid
    assert "OK" in box.sh(verify)
    assert changed(box.play(docker_host_ca_file=pem)) == 0
    box.play()
    assert "OK" not in box.sh(verify)
    assert changed(box.play()) == 0


def test_the_proxy_reaches_the_engine_and_its_password_no_output(box: Box) -> None:
    proxy: dict[str, Any] = {
        "docker_host_proxy": {
            "https": "http://me:canary-7f3@127.0.0.1:9",
            "no_proxy": "localhost,.example.com",
        }
    }
    output = box.play("-vvv", **proxy)
    assert "http://********@127.0.0.1:9" in output
    assert "canary-7f3" not in output
    assert "HTTPS Proxy: http" in box.sh("docker info")
    assert box.sh("stat -c %a /etc/docker/daemon.json") == "600"
    assert changed(box.play(**proxy)) == 0
    box.play()
    assert "proxies" not in box.config()


def _ask(box: Box, addresses: dict[str, str], where: str) -> set[str]:
    """Return the names of those that answer."""
    code = "import sys, urllib.request; urllib.request.urlopen('http://' + sys.argv[1] + '/busybox', timeout=2).read()"
    answers = {
        name: box.sh(f'{where} python3 -c "{code}" {address} >/dev/null 2>&1 && echo yes; true')
        for name, address in addresses.items()
    }
    return {name for name, answer in answers.items() if answer == "yes"}


def test_the_lan_reaches_neither_loopback_ports_nor_containers_before_engine_28(box: Box) -> None:
    box.sh(
        "cat > /root/peer.sh <<'E'\n"
        + (HERE / "docker_host_peer.sh").read_text(encoding="utf-8")
        + "E\nsh /root/peer.sh"
    )
    box.sh(
        "docker start keep other",
        "docker run -d --name public -p 10.99.0.1:8081:8080 bb /busybox httpd -f -p 8080 -h /",
    )
    ip = "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "
    hidden = {
        "loopback": "127.0.0.1:8080",
        "default": box.sh(ip + "keep") + ":8080",
        "network": box.sh(ip + "other") + ":8080",
    }
    addresses = {**hidden, "public": "10.99.0.1:8081"}
    peer = "ip netns exec peer"
    assert _ask(box, addresses, peer) == {"public"}
    assert _ask(box, addresses, "") == set(addresses)
    box.sh(
        "docker run -d --name third --network extra bb /busybox sleep 1000",
        "docker exec third /busybox ping -c1 -W2 other",
    )
    box.sh("docker exec third /busybox ping -c1 -W2 $(ip route show default | cut -d' ' -f3)")

    box.sh("nft delete table inet gpubox_lan")  # what it is there for
    assert _ask(box, addresses, peer) == set(addresses)
    assert "load the drop of LAN traffic" in box.play()
    assert _ask(box, addresses, peer) == {"public"}
    assert changed(box.play()) == 0


def test_a_peer_that_poses_as_a_container_is_dropped_too(box: Box) -> None:
    counter = "nft list table inet gpubox_lan | sed -n 's/.*@containers4 fib daddr.*packets \\([0-9]*\\) .*/\\1/p'"
    before = int(box.sh(counter))
    target = box.sh("docker inspect -f '{{.NetworkSettings.IPAddress}}' keep")
    box.sh("ip netns exec peer ip addr add 172.18.200.9/32 dev lan1")
    box.sh(f"ip netns exec peer busybox ping -c2 -W1 -I 172.18.200.9 {target} || true")
    assert int(box.sh(counter)) > before


def test_the_drop_goes_when_it_is_not_wanted(box: Box) -> None:
    assert "remove the drop of LAN traffic" in box.play(docker_host_lan_drop=False)
    assert "gpubox_lan" not in box.sh("nft list ruleset")
    assert changed(box.play(docker_host_lan_drop=False)) == 0
