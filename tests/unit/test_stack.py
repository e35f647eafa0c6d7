"""What a service becomes and when it is touched: the pure part of the stack."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._stack.service import (
    Container,
    DefinitionError,
    Network,
    Seen,
    Service,
    Site,
    build_service,
    merge,
    parse_port,
    parse_size,
    plan_service,
    tag,
)

SITE = Site("/opt/gpubox", "gpubox", b"key")


def definition(**changes: Any) -> dict[str, Any]:
    compose = {
        "image": "web:1",
        "user": "10:20",
        "networks": {"app": {"aliases": ["web.internal"]}},
        "healthcheck": {"test": ["CMD", "true"]},
    }
    return {"compose": compose, "files": {"a.conf": "x"}, **changes}


def service(values: dict[str, str] | None = None, /, **changes: Any) -> Service:
    return build_service("web", definition(**changes), SITE, values or {})


def running(like: Service, **changes: Any) -> Container:
    values: dict[str, Any] = {
        "id": "c1",
        "service": like.name,
        "state": "running",
        "health": "healthy",
        "label": like.label,
        "image_id": "sha256:1",
        "networks": like.networks,
        "mounts": frozenset(m["source"] for m in like.compose["volumes"]),
        "started_at": "2026-11-21T12:00:00.1Z",
        "limits": {"memory": 512 * 1024**2, "pids": 256, "cpus": 0.0, "restart": "unless-stopped"},
    }
    return Container(**{**values, **changes})


def step(
    wanted: Service, container: Container | None, **changes: Any
) -> tuple[str, tuple[str, ...]]:
    values: dict[str, Any] = {
        "image_id": "sha256:1",
        "before": wanted.compose,
        "changed_files": [],
        "changed_secrets": [],
        "loaded": True,
    }
    planned = plan_service(wanted, Seen(container=container, **{**values, **changes}))
    return planned.action, planned.reasons


def test_every_container_is_hardened_unless_its_definition_says_otherwise() -> None:
    compose = service().compose
    assert compose["cap_drop"] == ["ALL"]
    assert compose["security_opt"] == ["no-new-privileges:true"]
    assert compose["read_only"] is True
    assert compose["restart"] == "unless-stopped"
    assert (compose["pids_limit"], compose["mem_limit"]) == (256, "512m")
    assert (
        build_service(
            "web", merge(definition(), {"compose": {"read_only": False}}), SITE, {}
        ).compose["read_only"]
        is False
    )


def test_files_and_secrets_are_mounted_read_only_as_directories_of_one_generation() -> None:
    built = service({"key": "s3cret"})
    files, secrets = built.compose["volumes"]
    assert files["source"] == f"/opt/gpubox/services/web/files/{built.files_tag}"
    assert (secrets["target"], secrets["read_only"]) == ("/run/secrets", True)
    assert "s3cret" not in str(built.compose)


def test_a_reloadable_service_keeps_its_directory_and_its_label_when_files_change() -> None:
    one, two = (service(files={"a.conf": text}, reload=["true"]) for text in ("1", "2"))
    assert one.label == two.label
    assert one.compose == two.compose
    assert one.files_tag != two.files_tag


@pytest.mark.parametrize("part", ["files", "secrets", "compose"])
def test_anything_seen_at_start_changes_the_label(part: str) -> None:
    base = service({"key": "a"})
    other = {
        "files": service({"key": "a"}, files={"a.conf": "y"}),
        "secrets": service({"key": "b"}),
        "compose": build_service(
            "web", merge(definition(), {"compose": {"image": "web:2"}}), SITE, {"key": "a"}
        ),
    }[part]
    assert base.label != other.label


def test_hashes_depend_on_the_box() -> None:
    assert tag(b"one", "guess") != tag(b"two", "guess")


def test_an_external_network_gets_the_aliases_too() -> None:
    built = build_service("web", definition(), SITE, {}, external=["theirs"])
    assert built.networks == {"gpubox_app", "theirs"}
    assert built.compose["networks"]["theirs"] == {"aliases": ["web.internal"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"compose": {"image": "a:1", "user": "1:1"}}, "healthcheck.test is missing"),
        ({"compose": {"user": "1:1", "healthcheck": {"test": ["CMD", "x"]}}}, "image is missing"),
        (
            {"compose": {"image": "a:1", "user": "me", "healthcheck": {"test": "x"}}},
            "numeric 'uid:gid'",
        ),
        ({"compose": {"image": "a:1", "healthcheck": {"test": "x"}}}, "numeric 'uid:gid'"),
        ({"compose": {**definition()["compose"], "build": "."}}, "compose.build cannot be used"),
        ({"compose": {**definition()["compose"], "container_name": "x"}}, "container_name cannot"),
        ({"file": {}}, "unknown key 'file'"),
        ({"files": {"../x": ""}}, "must be relative"),
        ({"files": {"/etc/x": ""}}, "must be relative"),
        ({"secrets": {"a/../../b": {}}}, "must be relative"),
    ],
)
def test_a_definition_that_cannot_be_used_says_why(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match="service web: ") as refused:
        service(**changes)
    assert said in str(refused.value)


def test_nothing_is_done_when_nothing_differs() -> None:
    assert step(service(), running(service())) == ("none", ())


def test_a_missing_container_is_created() -> None:
    assert step(service(), None) == ("create", ())


@pytest.mark.parametrize(
    ("container", "seen", "reasons"),
    [
        ({"label": "old"}, {"changed_files": ["a.conf"]}, ("a.conf changed",)),
        ({"label": "old"}, {"changed_secrets": ["key"]}, ("secret key changed",)),
        ({"label": "old"}, {}, ("differs from its definition",)),
        ({"label": "old"}, {"before": {"image": "web:0"}}, None),
        ({"image_id": "sha256:0"}, {}, ("image changed",)),
        ({"networks": frozenset()}, {}, ("not on network gpubox_app",)),
        ({"networks": frozenset({"gpubox_app", "x"})}, {}, ("on network x",)),
        ({"limits": {}}, {}, None),
        ({"health": "unhealthy"}, {}, ("unhealthy",)),
        ({"state": "restarting"}, {}, ("restarting",)),
        ({"state": "paused"}, {}, ("paused",)),
        ({}, {"changed_files": ["a.conf"]}, ("a.conf changed",)),
        ({}, {"changed_secrets": ["key"]}, ("secret key was altered on disk",)),
    ],
)
def test_a_difference_recreates_and_says_which(
    container: dict[str, Any], seen: dict[str, Any], reasons: tuple[str, ...] | None
) -> None:
    wanted = service()
    action, said = step(wanted, running(wanted, **container), **seen)
    assert action == "recreate"
    assert said == reasons if reasons else said


def test_an_exited_container_is_started_whatever_its_last_health() -> None:
    assert step(service(), running(service(), state="exited", health="unhealthy")) == (
        "start",
        ("exited",),
    )


def test_changed_files_reload_a_service_that_can() -> None:
    wanted = service(reload=["true"])
    assert step(wanted, running(wanted), changed_files=["a.conf"]) == (
        "reload",
        ("a.conf changed",),
    )
    assert step(wanted, running(wanted), loaded=False) == (
        "reload",
        ("the running one has older files",),
    )


def test_a_network_s_label_follows_its_options() -> None:
    assert Network("a", {"internal": True}).label != Network("a", {}).label


@pytest.mark.parametrize(
    ("base", "override", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_overrides_merge(
    base: dict[str, Any], override: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge(base, override) == merged


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 512 * 1024**2), ("2g", 2 * 1024**3), ("1.5k", 1536), (0, 0), (None, 0), ("7b", 7)],
)
def test_sizes(text: Any, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("entry", "port"),
    [
        ("127.0.0.1:8080:80", ("127.0.0.1", 8080, "tcp")),
        ("8080:80", ("0.0.0.0", 8080, "tcp")),
        ("[::1]:53:53/udp", ("::1", 53, "udp")),
        ("80", None),
        ({"target": 80, "published": "8080", "host_ip": "127.0.0.1"}, ("127.0.0.1", 8080, "tcp")),
    ],
)
def test_ports(entry: Any, port: tuple[str, int, str] | None) -> None:
    assert parse_port(entry) == port
