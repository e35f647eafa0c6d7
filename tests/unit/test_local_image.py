# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided about images before anything is touched."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from ansible_collections.gpubox.llm.plugins.action import local_image as action
from ansible_collections.gpubox.llm.plugins.module_utils._images import build
from ansible_collections.gpubox.llm.plugins.module_utils._images.decide import (
    Found,
    ImageError,
    Recipe,
    plan,
    refusals,
)
from ansible_collections.gpubox.llm.plugins.module_utils._images.words import (
    PullProgress,
    cure,
    last_lines,
)

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "local_images"
DATA: dict[str, Any] = {
    "suite": "trixie",
    "packages": ["busybox-static"],
    "script": "true",
    "files": {"a": "1"},
    "config": ['CMD ["sh"]'],
    "megabytes": 5,
}
RECIPE = Recipe(**DATA)


def found(text: str) -> Found:
    """'ours archived' and the like."""
    words = text.split()
    return Found(
        image_id="" if "absent" in words else "sha256:1",
        recipe={"ours": RECIPE.hash, "outdated": "0" * 64}.get(words[0], ""),
        archived="archived" in words,
        registry="reachable" in words,
    )


@pytest.mark.parametrize(
    ("mode", "state", "ways", "outcome"),
    [
        ("auto", "absent", ["build"], "built"),
        ("auto", "absent reachable", ["pull", "build"], "pulled"),
        ("auto", "absent archived", ["load", "build"], "loaded"),
        ("auto", "absent archived reachable", ["pull", "load", "build"], "pulled"),
        ("auto", "ours", [], "present"),
        ("auto", "ours reachable archived", [], "present"),
        ("auto", "outdated", ["build"], "rebuilt"),
        ("auto", "outdated reachable", ["build"], "rebuilt"),
        ("auto", "outdated archived", ["load", "build"], "rebuilt"),
        ("auto", "foreign", [], "present"),
        ("auto", "foreign reachable archived", [], "present"),
        ("local", "absent", ["build"], "built"),
        ("local", "absent reachable", ["build"], "built"),
        ("local", "absent archived reachable", ["load", "build"], "loaded"),
        ("local", "ours", [], "present"),
        ("local", "outdated", ["build"], "rebuilt"),
        ("local", "outdated archived", ["load", "build"], "rebuilt"),
        ("local", "foreign", [], "present"),
    ],
)
def test_every_state_has_its_ways(mode: str, state: str, ways: list[str], outcome: str) -> None:
    task = plan("a:1", RECIPE, found(state), mode, archive=False)
    assert (list(task.ways), task.outcome, task.archive) == (ways, outcome, False)


@pytest.mark.parametrize(
    ("mode", "state", "ways"),
    [
        ("auto", "absent reachable", ["pull"]),
        ("auto", "absent", []),
        ("local", "absent reachable", []),
        ("auto", "outdated", []),
        ("auto", "foreign", []),
    ],
)
def test_without_a_recipe_only_the_registry_helps(mode: str, state: str, ways: list[str]) -> None:
    assert list(plan("a:1", None, found(state), mode, archive=True).ways) == ways


@pytest.mark.parametrize(
    ("state", "archive"),
    [
        ("absent", True),
        ("ours", True),
        ("outdated", True),
        ("ours archived", False),
        ("absent archived", False),
        ("foreign", False),
        ("absent reachable", False),
    ],
)
def test_what_was_built_and_nothing_else_is_archived(state: str, archive: bool) -> None:
    assert plan("a:1", RECIPE, found(state), "auto", archive=True).archive is archive


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "sid"},
        {"packages": ["busybox-static", "curl"]},
        {"script": "false"},
        {"files": {"a": "2"}},
        {"files": {"b": "1"}},
        {"config": []},
    ],
)
def test_a_changed_recipe_has_another_hash(change: dict[str, Any]) -> None:
    assert Recipe(**{**DATA, **change}).hash != RECIPE.hash


def test_the_hash_knows_neither_order_of_keys_nor_the_size() -> None:
    files = {"a": "1", "b": "2"}
    reordered = dict(reversed(files.items()))
    first = Recipe(**{**DATA, "files": files})
    assert first.hash == Recipe(**{**DATA, "files": reordered, "megabytes": 900}).hash


def test_a_malformed_recipe_names_its_image() -> None:
    with pytest.raises(ImageError, match=r"recipe of web:1.*colour"):
        Recipe.parse("web:1", {**DATA, "colour": "red"})


# -- known-bad versions ------------------------------------------------------------------------------------------


def refused_by_default() -> list[dict[str, str]]:
    return yaml.safe_load((ROLE / "defaults/main.yml").read_text())["local_images_refused"]


@pytest.mark.parametrize(
    "reference",
    [
        "ghcr.io/berriai/litellm:v1.82.7-stable",
        "ghcr.io/berriai/litellm:v1.82.8",
        "mirror.example:5000/litellm:1.82.8",
        "ghcr.io/berriai/litellm:1.82.7@sha256:00",
    ],
)
def test_known_bad_images_are_refused(reference: str) -> None:
    (fault,) = refusals([reference], {}, refused_by_default())
    assert fault.startswith(f"{reference}: refused, LiteLLM 1.82.7")


@pytest.mark.parametrize("tag", ["v1.82.6", "v1.82.70", "v1.182.7", "v1.106.2-stable"])
def test_good_images_are_not(tag: str) -> None:
    assert refusals([f"ghcr.io/berriai/litellm:{tag}"], {}, refused_by_default()) == []


def test_a_recipe_that_installs_a_bad_version_is_refused() -> None:
    bad = {**DATA, "files": {"requirements.txt": "httpx==1\nlitellm==1.82.8 \\\n"}}
    assert refusals(["x:1"], {"x:1": bad}, refused_by_default())


# -- the recipes of the role -------------------------------------------------------------------------------------


def recipes() -> dict[str, Any]:
    return yaml.safe_load((ROLE / "vars/main.yml").read_text())["__local_images_recipes"]


# What no package index has: such images come from a registry, or from whoever loads them.
ONLY_UPSTREAM = {"ollama"}


def test_every_service_role_pins_an_image_that_can_be_built() -> None:
    pinned = {
        value
        for defaults in ROOT.glob("roles/*/defaults/main.yml")
        for name, value in (yaml.safe_load(defaults.read_text()) or {}).items()
        if name == f"{defaults.parts[-3]}_image" and defaults.parts[-3] not in ONLY_UPSTREAM
    }
    assert pinned
    assert pinned <= set(recipes())


def test_the_versions_in_tag_label_and_packages_agree() -> None:
    version = "1.106.2"
    litellm = recipes()[f"ghcr.io/berriai/litellm:v{version}-stable"]
    assert f'version="{version}"' in str(litellm["config"])
    for name in ("requirements.in", "requirements.txt"):
        text = (ROLE / "files/litellm" / name).read_text()
        assert f"litellm=={version} " in text or f"litellm[proxy]=={version}\n" in text
    nginx = recipes()["nginx:1.30.6"]
    assert "nginx=1.30.6-*" in nginx["packages"]
    assert 'version="1.30.6"' in str(nginx["config"])


def test_every_python_package_is_pinned_with_a_hash() -> None:
    text = (ROLE / "files/litellm/requirements.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) > 100
    assert all("==" in line and "--hash=sha256:" in line for line in lines)


# -- words -------------------------------------------------------------------------------------------------------


def event(layer: str, status: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    return {
        "id": layer,
        "status": status,
        "progressDetail": {"current": current, "total": total} if total else {},
    }


def test_a_pull_tells_every_tenth_once_for_all_layers_together() -> None:
    progress = PullProgress()
    said = [
        progress.feed(event("a", "Pulling fs layer")),
        progress.feed(event("a", "Downloading", 10_000_000, 50_000_000)),
        progress.feed(event("a", "Downloading", 11_000_000, 50_000_000)),
        progress.feed(event("b", "Downloading", 25_000_000, 50_000_000)),
        progress.feed(event("a", "Download complete")),
        progress.feed(event("c", "Download complete")),
        progress.feed({"status": "Status: Downloaded newer image"}),
    ]
    assert [line for line in said if line] == [
        "pulling, 20 % of 50 MB",
        "pulling, 36 % of 100 MB",
        "pulling, 75 % of 100 MB",
    ]


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("E: Could not connect to deb.example:80", "reach the Debian mirror http://m/debian"),
        ("error: dns error: failed to lookup address", "Python index http://i/simple"),
        ("cp: write error: No space left on device", "Free some space in /build"),
        ("E: You don't have enough free space in /var", "Free some space in /build"),
        ("invalid peer certificate: UnknownIssuer", "local_images_ca_file"),
        ("E: Version '1.30.6-*' for 'nginx' was not found", "no longer has the pinned version"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM", "something else than what is pinned"),
        ("GPG error: NO_PUBKEY 123", "signed by Debian's own"),
        ("E: 404  Not Found [IP: 127.0.0.1]", "address of a Debian mirror"),
        ("Connection refused\nERROR: No matching distribution found for uv", "Python index"),
        ("ERROR: No matching distribution found for uv", "no longer has the pinned version"),
        ("mkdir: cannot create directory", "-vvv"),
    ],
)
def test_a_failed_build_says_what_to_do(output: str, advice: str) -> None:
    said = cure(output, mirror="http://m/debian", index="http://i/simple", work_dir="/build")
    assert advice in said


def test_of_many_lines_the_telling_ones_are_shown() -> None:
    lines = ["I: extracting archives...", "==> fetching", *(f"line {'x' * n}" for n in range(9))]
    retries = [f"WARNING: Retrying (total={n}) <object at 0x7f{n}>" for n in range(4)]
    noise = ["E: setup failed: E: command failed: sh /x/hook.sh", "E: mmdebstrap failed to run"]
    assert last_lines([*lines, *retries, *noise], 3) == [lines[-2], lines[-1], retries[0]]


def test_passwords_in_addresses_are_not_shown() -> None:
    hidden = build._public("Err http://user:secret@mirror.example/debian sid")
    assert hidden == "Err http://***@mirror.example/debian sid"


def test_a_build_sees_nothing_of_the_box_but_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    settings = build.Settings("http://m", "keys", "/build", pip_index_url="http://i")
    environment = settings.environment("/work")
    assert "canary" not in str(environment)
    assert environment["HTTPS_PROXY"] == "http://proxy:3128"
    assert environment["UV_DEFAULT_INDEX"] == "http://i"
    assert "HTTP_PROXY" not in environment or environment["HTTP_PROXY"]


def test_the_proxy_of_the_box_s_apt_is_used_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "apt.conf").write_text('Acquire::http::Proxy "http://apt-proxy:3142";')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert build._apt_proxy("http_proxy") == "http://apt-proxy:3142"
    assert build._apt_proxy("no_proxy") == ""


def test_the_ca_of_a_company_is_added_to_those_of_the_box(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("system", "company"):
        (tmp_path / name).write_text(f"{name} CA")
    monkeypatch.setattr(build, "SYSTEM_BUNDLE", str(tmp_path / "system"))
    settings = build.Settings("http://m", "k", "/b", ca_file=str(tmp_path / "company"))
    assert settings.certificates() == "system CA\ncompany CA"


def test_a_long_step_is_told_again_with_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "TELL_EVERY_SECONDS", 1)
    said: list[str] = []
    with build.Talker(said.append, "web:1") as talker:
        talker("unpacking packages")
        until = time.monotonic() + 20
        while len(said) == 1 and time.monotonic() < until:
            time.sleep(0.05)
    assert said[0] == "web:1: unpacking packages"
    assert re.fullmatch(r"web:1: still unpacking packages \(\d+ s\)", said[1])


# -- the action --------------------------------------------------------------------------------------------------


def run_action(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> tuple[dict[str, Any], Mock]:
    call = Mock(return_value={"changed": False, "images": {}})
    monkeypatch.setattr(action.LiveAction, "run", call)
    plugin = action.ActionModule(Mock(args=arguments), *[Mock() for _turn in range(5)])
    return plugin.run(task_vars={}), call


@pytest.mark.parametrize(
    "arguments", [{"images": ["a:1"], "mode": "registry"}, {"images": [], "mode": "auto"}]
)
def test_where_compose_pulls_the_box_is_not_called(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    result, call = run_action(monkeypatch, **arguments)
    assert result == {"changed": False, "images": {}, "rebuilt": []}
    assert not call.called


def test_bad_versions_are_refused_where_compose_pulls_too(monkeypatch: pytest.MonkeyPatch) -> None:
    result, call = run_action(
        monkeypatch,
        images=["ghcr.io/berriai/litellm:v1.82.8"],
        mode="registry",
        refused=refused_by_default(),
    )
    assert result["failed"]
    assert not call.called


def test_otherwise_the_box_is_called_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _rest, call = run_action(monkeypatch, images=["a:1"], mode="auto")
    assert call.call_count == 1
