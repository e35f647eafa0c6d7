# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of this repository that no linter knows: each keeps one kind of rot out."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from tests.repository import MODULES, ROLES, ROOMS, ROOT, documents, files, load, options

TEXTS = [
    path
    for path in files()
    if path.name != "LICENSE" and b"\0" not in (ROOT / path).read_bytes()[:4096]
]


def lines(path: Path) -> list[tuple[int, str]]:
    return list(enumerate((ROOT / path).read_text(errors="replace").splitlines(), start=1))


# The checkout


def test_the_checkout_links_every_room_of_the_collection() -> None:
    links = {path.name: path for path in ROOT.glob("collections/ansible_collections/gpubox/llm/*")}
    assert sorted(links) == sorted(ROOMS)
    for name, link in links.items():
        assert link.is_symlink(), f"{link} is no link"
        assert link.resolve() == ROOT / name


def test_the_locks_hold_what_is_asked_for_and_agree() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))

    run, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert run.items() <= dev.items(), "the two locks name different versions; run make lock"
    for name, lock in (("requirements.in", run), ("requirements-dev.in", dev)):
        asked = re.findall(r"^([A-Za-z][\w.-]*)", (ROOT / name).read_text(), re.MULTILINE)
        missing = [package for package in asked if package.lower() not in lock]
        assert not missing, f"{name} asks for what its lock lacks; run make lock"


# The roles


@pytest.mark.parametrize("role", ROLES)
def test_defaults_say_what_the_specification_says(role: str) -> None:
    specified = {name: o["default"] for name, o in options(role).items() if "default" in o}
    assert (load(f"roles/{role}/defaults/main.yml") or {}) == specified


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_has_a_type_and_a_description_and_so_do_its_keys(role: str) -> None:
    def bare(found: dict[str, Any], path: str) -> list[str]:
        return [
            name
            for key, option in found.items()
            for name in (
                *([] if {"type", "description"} <= set(option) else [f"{path}{key}"]),
                *bare(option.get("options") or {}, f"{path}{key}."),
            )
        ]

    assert bare(options(role), "") == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_owns_its_prefix_and_reads_only_site_wide_variables_beside_it(role: str) -> None:
    for name, option in options(role).items():
        if name.startswith("llm_"):
            assert "default" not in option, f"{name} belongs to the site, not to {role}"
        else:
            assert name.startswith(f"{role}_"), f"{name} is not {role}'s to define"


@pytest.mark.parametrize("role", ROLES)
def test_derived_variables_are_private_to_their_role(role: str) -> None:
    derived = load(f"roles/{role}/vars/main.yml") or {}
    assert [name for name in derived if not name.startswith(f"__{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_no_role_mentions_the_variables_of_another(role: str) -> None:
    others = [other for other in ROLES if other != role]
    public = {name for other in others for name in options(other) if not name.startswith("llm_")}
    private = [rf"__{other}_\w+" for other in others]
    # The one thing roles hand to one another; docs/services.md describes what it holds.
    shared = "__stack_services"
    foreign = re.compile(rf"(?<![\w.-])(?!{shared}\b)(?:{'|'.join([*sorted(public), *private])})\b")
    found = [
        f"{path}:{number}: {match}"
        for path in files(f"roles/{role}")
        for number, line in lines(path)
        for match in foreign.findall(line)
    ]
    assert found == [], "a wire belongs in playbooks/group_vars/all/wiring.yml"


@pytest.mark.parametrize("role", ROLES)
def test_a_secret_is_marked_as_one(role: str) -> None:
    """So that nothing that reports on a role's variables shows it."""
    secret = re.compile(r"(?<!per)_(key|password|token|secret)$")
    unmarked = [n for n, o in options(role).items() if secret.search(n) and not o.get("no_log")]
    assert unmarked == []


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_a_role_is_used(role: str) -> None:
    elsewhere = "\n".join(
        (ROOT / path).read_text(errors="replace")
        for path in files(f"roles/{role}", "plugins", "playbooks/group_vars")
        if not str(path).startswith((f"roles/{role}/defaults/", f"roles/{role}/meta/"))
        and path.suffix != ".md"
    )
    unused = [name for name in options(role) if not re.search(rf"\b{name}\b", elsewhere)]
    assert unused == []


def test_wiring_sets_only_what_no_user_sets() -> None:
    wired = [name for path in files("playbooks/group_vars") for name in load(path) or {}]
    assert wired, "there is no wiring"
    assert [name for name in wired if not name.startswith("__")] == []


# The modules


@pytest.mark.parametrize("module", MODULES)
def test_a_module_documents_what_it_takes_gives_and_supports(module: str) -> None:
    found = documents(module)
    assert sorted(found) == ["DOCUMENTATION", "EXAMPLES", "RETURN"]
    assert found["DOCUMENTATION"]["module"] == module
    attributes = found["DOCUMENTATION"].get("attributes", {})
    if "extends_documentation_fragment" not in found["DOCUMENTATION"]:
        assert {"check_mode", "diff_mode", "idempotent"} <= set(attributes)
        assert all("support" in attribute for attribute in attributes.values())


@pytest.mark.parametrize("module", MODULES)
def test_examples_use_only_documented_options(module: str) -> None:
    found = documents(module)
    known = found["DOCUMENTATION"].get("options") or {}
    tasks: list[dict[str, Any]] = [task for task in found["EXAMPLES"] if "hosts" not in task]
    uses = [task[f"gpubox.llm.{module}"] for task in tasks if f"gpubox.llm.{module}" in task]
    assert uses or not known, "no example shows the module"
    for arguments in uses:
        assert set(arguments or {}) <= set(known)


# The module layer

HTTP = "plugins/module_utils/_http/"
RUNNER = "plugins/module_utils/_runner.py"
SPEAKS_HTTP = {
    "requests",
    "urllib3",
    "urllib.request",
    "urllib.error",
    "http.client",
    "ansible.module_utils.urls",
}
BY_ITSELF = {
    "plugins/module_utils/_docker_engine/host.py": "asks the engine's socket on a box that has no package yet",
    "plugins/module_utils/_images/engine.py": "catches what the Docker SDK raises, and knocks at registries' doors",
}
WITHOUT_RUNNER = {
    "plugins/modules/docker_engine.py": "older than the runner, and speaks to no API",
    "plugins/modules/local_image.py": "older than the runner, and speaks to no API",
    "plugins/modules/stack.py": "older than the runner, and speaks to no API",
}


def imported(path: Path) -> set[str]:
    """Modules and names that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def speakers(names: set[str]) -> set[str]:
    """Files of the plugins that import one of these, or something below it."""
    return {
        str(path)
        for path in files("plugins/*.py")
        if any(
            one == name or one.startswith(f"{name}.") for one in imported(path) for name in names
        )
    }


def test_only_the_transport_speaks_http() -> None:
    found = {path for path in speakers(SPEAKS_HTTP) if not path.startswith(HTTP)}
    assert found == set(BY_ITSELF), "everything else goes through _http, which tests can replace"


def test_only_the_runner_knows_ansible_modules() -> None:
    found = speakers({"ansible.module_utils.basic.AnsibleModule"})
    assert found == {RUNNER, *WITHOUT_RUNNER}, "a module is run by _runner.run"


# All files


def test_no_suppression_without_a_reason_beside_it() -> None:
    # The words are put together here, so that this file holds none of them.
    in_python = ["no" + "qa", "type" + ": ignore", "pylint" + ": *disable", "pragma" + ": no cover"]
    elsewhere = ["yamllint" + " disable", "shellcheck" + " disable", "skip" + "_list"]
    in_tasks = ["ignore" + "_errors:", "failed" + "_when: false"]
    words = "|".join([*in_python, *elsewhere, *in_tasks])
    # After the codes that are suppressed, a reason of two words or more; or a comment on the line above.
    suppression = re.compile(rf"(?:{words})(?:[:=]\s*|)[\w\[\],-]*(?P<rest>.*)")
    unexplained = []
    for path in TEXTS:
        if path.suffix in (".md", ".txt"):
            continue
        text = lines(path)
        for number, line in text:
            match = suppression.search(line)
            above = text[number - 2][1].strip() if number > 1 else ""
            explained = match and len(re.findall(r"\w{2,}", match["rest"])) > 1
            if match and not explained and not above.startswith("#"):
                unexplained.append(f"{path}:{number}: {line.strip()}")
    assert unexplained == []


def test_every_skipped_test_says_why() -> None:
    skip = re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)\b(?P<rest>.*)")
    silent = [
        f"{path}:{number}"
        for path in TEXTS
        if path.suffix == ".py" and path.parts[0] in ("tests", "molecule")
        for number, line in lines(path)
        if (match := skip.search(line))
        and '"' not in match["rest"]
        and "reason" not in line
        # this line's own pattern is none
        and "re.compile" not in line
    ]
    assert silent == []


def test_nothing_names_the_machine_it_was_written_on() -> None:
    here = re.compile(
        "|".join([r"(?<![\w.])/" + "work/", "/root/" + r"\.pyenv", r"\.\./" + "shared/"])
    )
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in lines(path)
        if here.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("path", files("plugins/*.py"), ids=str)
def test_every_plugin_names_its_licence(path: Path) -> None:
    assert "SPDX-License-Identifier: GPL-3.0-or-later" in (ROOT / path).read_text()


# The documentation

PAGES = [path for path in files("*.md") if path.name != "CHANGELOG.md"]
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text())
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (ROOT / page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, Path(".ci/run")], ids=str)
def test_named_make_targets_exist(page: Path) -> None:
    text = (ROOT / page).read_text()
    commands = [text]
    if page.suffix:
        commands = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        commands += re.findall(r"`(make [^`\n]+)`", text)
    call = re.compile(r"(?:^\s*|[;&|{]\s+|exec )make ([a-z][a-z-]*)\b(?!=)", re.MULTILINE)
    named = {target for command in commands for target in call.findall(command)}
    assert named <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_named_files_exist(page: Path) -> None:
    rooms = "collections|docs|inventories|meta|molecule|playbooks|plugins|roles|scripts|tests"
    text = (ROOT / page).read_text()
    named = re.findall(rf"`((?:{rooms})/[\w./-]+)`", text)
    there = [ROOT, ROOT / page.parent]
    # What a user makes.
    own = ("inventories/mine", "inventories/quickstart/group_vars/all/models.yml")
    missing = [n for n in named if not any((root / n).exists() for root in there)]
    assert [name for name in missing if not name.startswith(own)] == []


def test_pages_named_in_code_exist() -> None:
    named = {
        (page, path)
        for path in TEXTS
        if path.suffix != ".md"
        for _number, line in lines(path)
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", line)
    }
    assert sorted(f"{path}: {page}" for page, path in named if not (ROOT / page).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_named_variables_exist(page: Path) -> None:
    text = (ROOT / page).read_text()
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    named = set(re.findall(rf"(?<![\w./-])(?:llm|{'|'.join(ROLES)})_[a-z][a-z_]*\b", code))
    known = {name for role in ROLES for name in options(role)} | {*ROLES, *MODULES}
    assert sorted(named - known) == []


def test_the_table_of_roles_is_complete() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [role for role in ROLES if f"(roles/{role}/README.md)" not in readme] == []


def test_every_decision_is_listed_once() -> None:
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (ROOT / "docs/adr/README.md").read_text())
    there = sorted(path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md"))
    assert listed == there
    assert [name[:4] for name in there] == [f"{n:04}" for n in range(1, len(there) + 1)]
