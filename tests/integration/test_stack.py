"""The stack on a real engine, with Compose 2.26 and 2.40: they recreate different things when left to themselves."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack_box import Box, docker, reloadable, web
from tests.rig.compose import plugin_dir
from tests.rig.images import busybox

PACKAGED, NEW = "packaged", "2.40.3"  # Debian 13 packages Compose 2.26


@pytest.fixture(scope="session")
def image() -> str:
    return busybox()


def make_box(version: str, tmp_path: Path) -> Iterator[Box]:
    config = {} if version == PACKAGED else {"DOCKER_CONFIG": str(plugin_dir(version).parent)}
    box = Box(f"stk{secrets.token_hex(3)}", tmp_path, config)
    yield box
    box.destroy()


@pytest.fixture(params=[PACKAGED, NEW])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    """A box for what depends on Compose's behaviour."""
    yield from make_box(request.param, tmp_path)


@pytest.fixture
def plain_box(tmp_path: Path) -> Iterator[Box]:
    """A box for what does not."""
    yield from make_box(PACKAGED, tmp_path)


def read(box: Box, service: str, path: str) -> str:
    return docker("exec", box.containers()[service]["Id"], "cat", path)


def test_only_the_changed_service_is_recreated(box: Box, image: str) -> None:
    other = web(image, "other", depends_on={"web": {"condition": "service_healthy"}})
    assert box.run({"web": web(image), "other": other}).rc == 0
    before = box.state()

    again = box.run({"web": web(image), "other": other})
    assert (again.rc, again.changed, box.state()) == (0, False, before)

    changed = box.run({"web": web(image, "new text"), "other": other})
    assert changed.plan == ["web: recreate (index.html changed)"]
    assert read(box, "web", "/srv/index.html") == "new text"
    assert box.state()["other"] == before["other"]
    assert box.run({"web": web(image, "new text"), "other": other}).changed is False


def test_check_mode_predicts_and_writes_nothing(box: Box, image: str) -> None:
    bare = box.run({"web": web(image)}, "--check", "--diff")
    assert bare.rc == 0
    assert not box.home.exists()
    assert box.containers() == {}
    real = box.run({"web": web(image)})
    assert (bare.plan, bare.changed) == (real.plan, real.changed)

    tree = snapshot(box.home)
    before = box.state()
    predicted = box.run({"web": web(image, "second", environment={"A": "1"})}, "--check", "--diff")
    assert (snapshot(box.home), box.state()) == (tree, before)
    assert "+second" in predicted.output
    done = box.run({"web": web(image, "second", environment={"A": "1"})})
    assert (
        predicted.plan == done.plan == ["web: recreate (environment changed, index.html changed)"]
    )


def snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(directory)): (
            p.lstat().st_mtime_ns,
            p.read_bytes() if p.is_file() else b"",
        )
        for p in sorted(directory.rglob("*"))
    }


def test_an_unhealthy_generation_goes_back_to_the_one_before(box: Box, image: str) -> None:
    assert box.run({"web": web(image, "good")}).rc == 0
    broken = web(image, "bad")
    broken["compose"]["command"] = ["sh", "-c", "echo cannot start because of X; sleep 1; exit 3"]
    failed = box.run({"web": broken})
    assert failed.rc != 0
    assert "service web" in failed.message
    assert "cannot start because of X" in failed.message
    assert "previous generation of web is running again" in failed.message
    assert read(box, "web", "/srv/index.html") == "good"
    assert box.run({"web": web(image, "good")}).changed is False


def test_files_reload_a_running_service_in_place(box: Box, image: str) -> None:
    assert box.run({"web": reloadable(image, "one")}).rc == 0
    before = box.state()
    changed = box.run({"web": reloadable(image, "two")})
    assert changed.plan == ["web: reload (index.html changed)"]
    assert box.state() == before
    assert read(box, "web", "/tmp/index.html") == "two"
    assert box.run({"web": reloadable(image, "two")}).changed is False


def test_a_failing_reload_brings_the_old_files_back(plain_box: Box, image: str) -> None:
    assert plain_box.run({"web": reloadable(image, "one")}).rc == 0
    before = plain_box.state()
    failed = plain_box.run(
        {"web": reloadable(image, "two", reload="! grep -q two /srv/current/index.html")}
    )
    assert failed.rc != 0
    assert read(plain_box, "web", "/srv/current/index.html") == "one"
    assert plain_box.state() == before


def test_a_restart_by_the_engine_counts_as_loaded(plain_box: Box, image: str) -> None:
    definition = {"web": reloadable(image, "one")}
    assert plain_box.run(definition).rc == 0
    docker("restart", plain_box.containers()["web"]["Id"])
    time.sleep(2)
    assert plain_box.run(definition).changed is False


def test_a_service_refuses_its_own_bad_files(plain_box: Box, image: str) -> None:
    def checked(text: str) -> dict[str, Any]:
        return {**web(image, text), "validate": ["sh", "-c", "! grep wrong /srv/index.html"]}

    assert plain_box.run({"web": checked("right")}).rc == 0
    before, tree = plain_box.state(), snapshot(plain_box.home)
    for arguments in ((), ("--check",)):
        refused = plain_box.run({"web": checked("wrong")}, *arguments)
        assert refused.rc != 0
        assert "web refuses its new configuration" in refused.message
        assert (plain_box.state(), snapshot(plain_box.home)) == (before, tree)


@pytest.mark.parametrize(
    ("disturb", "reason"),
    [
        (["network", "disconnect", "{project}_edge", "{id}"], "not on network"),
        (["update", "--memory", "64m", "--memory-swap", "64m", "{id}"], "memory limit changed"),
        (["stop", "--time", "1", "{id}"], "start (exited)"),
        (["rm", "--force", "{id}"], "create"),
        (["pause", "{id}"], "paused"),
    ],
)
def test_what_others_did_to_a_container_is_undone(
    plain_box: Box, image: str, disturb: list[str], reason: str
) -> None:
    definition = {"web": web(image), "other": web(image)}
    assert plain_box.run(definition).rc == 0
    before = plain_box.state()
    docker(*(a.format(project=plain_box.project, id=before["web"][0]) for a in disturb))
    healed = plain_box.run(definition)
    assert healed.rc == 0, healed.output
    assert len(healed.plan) == 1
    assert reason in healed.plan[0]
    assert plain_box.containers()["web"]["State"]["Health"]["Status"] == "healthy"
    assert plain_box.state()["other"] == before["other"]
    assert plain_box.run(definition).changed is False


def test_an_altered_file_on_the_box_is_put_back(plain_box: Box, image: str) -> None:
    assert plain_box.run({"web": web(image, "ours")}).rc == 0
    (file,) = plain_box.home.glob("services/web/files/*/index.html")
    file.chmod(0o600)
    file.write_text("theirs")
    healed = plain_box.run({"web": web(image, "ours")})
    assert healed.plan == ["web: recreate (index.html changed)"]
    assert read(plain_box, "web", "/srv/index.html") == "ours"


def test_an_unhealthy_container_is_recreated(plain_box: Box, image: str) -> None:
    definition = {"web": web(image)}
    definition["web"]["compose"] |= {"tmpfs": ["/tmp:uid=1000"]}
    definition["web"]["compose"]["healthcheck"]["test"] = ["CMD", "sh", "-c", "! test -e /tmp/sick"]
    assert plain_box.run(definition).rc == 0
    docker("exec", plain_box.containers()["web"]["Id"], "sh", "-c", ": > /tmp/sick")
    deadline = time.monotonic() + 20
    while plain_box.containers()["web"]["State"]["Health"]["Status"] != "unhealthy":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert plain_box.run(definition).plan == ["web: recreate (unhealthy)"]


def test_a_moved_image_tag_recreates(box: Box, image: str) -> None:
    moving = f"gpubox-test/moving-{box.project}:1"
    docker("tag", image, moving)
    assert box.run({"web": web(moving)}).rc == 0
    subprocess.run(
        ["docker", "build", "-q", "-t", moving, "-"],
        input=f"FROM {image}\nLABEL moved=yes\n",
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        assert box.run({"web": web(moving)}).plan == ["web: recreate (image changed)"]
        assert box.run({"web": web(moving)}).changed is False
    finally:
        docker("rmi", "-f", moving)


def test_a_whole_run_removes_and_a_partial_run_does_not(plain_box: Box, image: str) -> None:
    both = {"web": web(image), "other": web(image)}
    assert plain_box.run(both).rc == 0
    before = plain_box.state()
    partial = plain_box.run({"web": web(image, "x")}, "--tags", "web")
    assert partial.plan == ["web: recreate (index.html changed)"]
    assert plain_box.state()["other"] == before["other"]
    assert "other" in (plain_box.home / "compose.yaml").read_text()
    whole = plain_box.run({"web": web(image, "x")})
    assert whole.plan == ["other: remove (no longer defined)"]
    assert set(plain_box.containers()) == {"web"}


def test_own_services_and_overrides_leave_no_trace_when_removed(plain_box: Box, image: str) -> None:
    ours = {"web": web(image)}
    assert plain_box.run(ours).rc == 0
    clean = (plain_box.home / "compose.yaml").read_text()
    extra = {
        "stack_services": {"mine": web(image, "mine", networks=["model"])},
        "stack_overrides": {
            "web": {"compose": {"environment": {"LEVEL": "9"}}, "files": {"more.txt": "more"}}
        },
    }
    added = plain_box.run(ours, **extra)
    assert "mine: create" in added.plan
    assert "web: recreate (environment changed, more.txt changed)" in added.plan
    removed = plain_box.run(ours)
    assert "mine: remove (no longer defined)" in removed.plan
    assert (plain_box.home / "compose.yaml").read_text() == clean
    assert f"{plain_box.project}_model" not in docker("network", "ls", "--format", "{{.Name}}")


def test_a_changed_network_is_renewed_with_its_services(box: Box, image: str) -> None:
    assert box.run({"web": web(image)}).rc == 0
    renewed = box.run({"web": web(image)}, stack_networks={"edge": {"internal": True}})
    assert renewed.rc == 0, renewed.output
    name = f"{box.project}_edge"
    assert renewed.plan == [
        f"network {name}: recreate",
        f"web: recreate (network {name} is recreated)",
    ]
    assert docker("network", "inspect", "-f", "{{.Internal}}", name).strip() == "true"
    assert (
        box.run({"web": web(image)}, stack_networks={"edge": {"internal": True}}).changed is False
    )


def test_an_existing_network_is_joined_under_the_service_s_aliases(
    plain_box: Box, image: str
) -> None:
    theirs = f"theirs-{plain_box.project}"
    docker("network", "create", theirs)
    try:
        definition = web(image, networks={"edge": {"aliases": ["llama"]}})
        done = plain_box.run({"web": definition}, stack_external_networks={theirs: ["web"]})
        assert done.rc == 0, done.output
        answer = docker(
            "run",
            "--rm",
            "--network",
            theirs,
            image,
            "wget",
            "-q",
            "-O-",
            "http://llama:8080/index.html",
        )
        assert answer == "hello"
        again = plain_box.run({"web": definition}, stack_external_networks={theirs: ["web"]})
        assert again.changed is False
        back = plain_box.run({"web": definition})
        assert back.rc == 0
        assert "web: recreate (networks changed" in back.plan[0]
    finally:
        plain_box.destroy()
        docker("network", "rm", theirs)


def test_secrets_are_made_once_and_never_shown(plain_box: Box, image: str) -> None:
    def secretive() -> dict[str, Any]:
        source = {"variable": "the_key", "generate": {"length": 30, "prefix": "sk-"}}
        return {**web(image), "secrets": {"key": source}}

    first = plain_box.run({"web": secretive()}, "-vvv", "--diff")
    assert first.rc == 0, first.output
    stored = plain_box.home / "secrets" / "web_key"
    value = stored.read_text()
    assert value.startswith("sk-")
    assert len(value) == 33
    assert (stored.stat().st_mode & 0o777, stored.parent.stat().st_mode & 0o777) == (0o400, 0o700)
    assert read(plain_box, "web", "/run/secrets/key") == value
    assert plain_box.run({"web": secretive()}).changed is False

    given = "canary-" + secrets.token_hex(12)
    second = plain_box.run({"web": secretive()}, "-vvv", "--diff", the_key=given)
    assert second.plan == ["web: recreate (secret key changed)"]
    assert read(plain_box, "web", "/run/secrets/key") == given
    inspect = docker("inspect", plain_box.containers()["web"]["Id"])
    told = (
        inspect + (plain_box.home / "compose.yaml").read_text() + str(second.data) + str(first.data)
    )
    # -e @file is how the test hands the canary over; Ansible itself never prints that file.
    for canary in (value, given):
        assert canary not in first.output + second.output + told
    assert plain_box.run({"web": secretive()}).changed is False  # no longer given: the box keeps it


@pytest.mark.parametrize(
    ("change", "variables", "said"),
    [
        ({"healthcheck": {}}, {}, "compose.healthcheck.test is missing"),
        ({"user": "nobody"}, {}, "numeric 'uid:gid'"),
        ({"networks": ["nowhere"]}, {}, "network 'nowhere' is not defined"),
        ({"imaginary": True}, {}, "docker compose refuses the definition"),
        ({"image": "gpubox-test/nowhere:1"}, {}, "cannot be pulled"),
        (
            {},
            {"stack_external_networks": {"not-there": ["web"]}},
            "external network 'not-there' does not exist",
        ),
        ({}, {"stack_min_free_bytes": 10**15}, "stack_min_free_bytes"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_change(
    plain_box: Box, image: str, change: dict[str, Any], variables: dict[str, Any], said: str
) -> None:
    refused = plain_box.run({"web": web(image, **change)}, **variables)
    assert refused.rc != 0
    assert said in refused.message
    assert not plain_box.home.exists()
    assert plain_box.containers() == {}
    assert plain_box.project not in docker("network", "ls", "--format", "{{.Name}}")


def test_a_port_in_use_and_a_subnet_that_clashes_are_named(plain_box: Box, image: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = plain_box.run({"web": web(image, ports=[f"127.0.0.1:{port}:8080"])})
        assert f"port {port} on 127.0.0.1 is in use" in refused.message
    bridge = docker(
        "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "bridge"
    ).strip()
    clash = plain_box.run({"web": web(image)}, stack_networks={"edge": {"subnet": bridge}})
    assert f"subnet {bridge} overlaps" in clash.message
    assert not plain_box.home.exists()


def test_two_runs_at_once_both_end_well(plain_box: Box, image: str) -> None:
    definition = {"web": web(image), "other": web(image)}
    second = Box(plain_box.project, plain_box.directory / "second", plain_box.environment)
    second.directory.mkdir()
    runs = [
        subprocess.Popen(
            runner.command({"described": definition, "stack_home": str(plain_box.home)}),
            env=runner.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for runner in (plain_box, second)
    ]
    outputs = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert plain_box.run(definition).changed is False


def test_a_killed_run_is_completed_by_the_next(box: Box, image: str) -> None:
    old = {"web": web(image, "old"), "loader": reloadable(image, "old")}
    new = {"web": web(image, "new"), "loader": reloadable(image, "new"), "third": web(image)}
    assert box.run(old).rc == 0
    for step in range(int(os.environ.get("KILLS", "4"))):
        wanted = new if step % 2 == 0 else old
        box.run_and_kill(wanted, after_seconds=0.8 + 0.45 * step)
        done = box.run(wanted)
        assert done.rc == 0, done.output
        text = "new" if wanted is new else "old"
        assert read(box, "web", "/srv/index.html") == text
        assert read(box, "loader", "/tmp/index.html") == text
        assert box.run(wanted).changed is False
        assert not list(box.home.rglob(".new-*"))


def test_absent_keeps_data_and_secrets_unless_asked(plain_box: Box, image: str) -> None:
    definition = web(image, volumes=["data:/data"])
    definition["secrets"] = {"key": {"variable": "none_given", "generate": {"length": 30}}}
    assert plain_box.run({"web": definition}).rc == 0
    volume = f"{plain_box.project}_data"
    docker("exec", plain_box.containers()["web"]["Id"], "sh", "-c", "echo kept >/data/file")
    predicted = plain_box.run({}, "--check", stack_state="absent")
    down = plain_box.run(stack_state="absent")
    assert predicted.plan == down.plan
    assert plain_box.containers() == {}
    assert volume in docker("volume", "ls", "-q")
    key = (plain_box.home / "secrets" / "web_key").read_text()
    assert plain_box.run(stack_state="absent").changed is False
    assert plain_box.run({"web": definition}).rc == 0
    assert (plain_box.home / "secrets" / "web_key").read_text() == key
    assert plain_box.run(stack_state="absent", stack_remove_data=True).rc == 0
    assert volume not in docker("volume", "ls", "-q")
    assert not plain_box.home.exists()
