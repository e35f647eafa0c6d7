# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action validate as a user meets it: what ansible-playbook prints, how it ends, how long it takes.

No host is ever contacted, so every host here is one that cannot be reached.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
KEY = "canary-7f3a9c51e0b84d26"
GOOD: dict[str, Any] = {
    "llm_models": [{"name": "mock", "provider": "mock"}],
    "llm_default_model": "mock",
    "reverse_proxy_sites": [
        {"host": "llm.example.com", "service": "litellm", "routes": "openai", "auth": "key"}
    ],
}
PLAY = """---
- name: Check only
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Check every variable before the first change
      gpubox.llm.validate:
        roles: %s
      tags: [always]
    - name: Say that the check is over
      ansible.builtin.debug:
        msg: went on
"""


@dataclass
class Run:
    """A finished ansible-playbook."""

    rc: int
    output: str


class Box:
    """A directory with a play, hosts that cannot be reached, and their variables."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts("box1")

    def hosts(self, *names: str) -> None:
        lines = [
            f"{name} ansible_host=192.0.2.{count} ansible_timeout=1"
            for count, name in enumerate(names, start=1)
        ]
        (self.directory / "hosts").write_text("\n".join(lines) + "\n")

    def run(
        self,
        variables: Any,
        *arguments: str,
        roles: str = "[]",
        playbook: str = "",
        **environment: str,
    ) -> Run:
        text = variables if isinstance(variables, str) else yaml.safe_dump(variables)
        (self.directory / "group_vars").mkdir(exist_ok=True)
        (self.directory / "group_vars" / "all.yml").write_text(text)
        (self.directory / "play.yml").write_text(PLAY % roles)
        command = [str(PLAYBOOK), "-i", "hosts", playbook or "play.yml", *arguments]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout
        assert "UNREACHABLE" not in done.stdout
        return Run(done.returncode, done.stdout)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


BAD = f"""---
llm_models:
  - name: cloud
    provider: opanai
    api_key: {KEY}
  - name: cloud
    provider: mock
    modle: x
llm_default_model: gpt
reverse_proxy_port: 99999
reverse_proxy_sites:
  - host: https://llm.example.com
    service: litellm
    rate_limit: {{per_ip: 20/s}}
litellm_master_key: {KEY}
litellm_modles: []
"""
FAULTS = [
    ("litellm_master_key is (hidden)", "begin with sk-", "Remove the variable", 15),
    ("litellm_modles", "No role reads", 'Did you mean "llm_models"?', 16),
    ('llm_default_model is "gpt"', "llm_models has cloud", "Name one of these", 9),
    ('llm_models[0].provider is "opanai"', "none of", 'Did you mean "openai"?', 4),
    ("llm_models[1].modle", "There is no such key", 'Did you mean "model"?', 8),
    ('llm_models[1].name is "cloud"', "llm_models[0] has the same name", "Rename one", 6),
    ("reverse_proxy_port is 99999", "from 1 to 65,535", "Choose", 10),
    (
        'reverse_proxy_sites[0].host is "https://llm.example.com"',
        "host name alone",
        "Write llm.example.com.",
        12,
    ),
    ('reverse_proxy_sites[0].rate_limit.per_ip is "20/s"', "not a rate", "20r/s", 14),
]


@pytest.mark.parametrize(
    "arguments", [[], ["--check", "--diff"], ["--tags", "litellm"], ["-vvv"]], ids=str
)
def test_every_fault_is_listed_at_once_with_file_and_line(box: Box, arguments: list[str]) -> None:
    run = box.run(BAD, *arguments)
    assert run.rc == 2
    assert f"{len(FAULTS)} faults in the variables; nothing was changed." in run.output
    paragraphs = re.split(r"\n\s*\n", run.output)
    for head, reason, cure, line in FAULTS:
        (paragraph,) = [one for one in paragraphs if f". {head}\n" in one]
        assert reason in paragraph
        assert cure in paragraph
        assert f"(group_vars/all.yml:{line}:" in paragraph
    assert KEY not in run.output
    assert "went on" not in run.output


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_the_list_reads_the_same_in_every_output_format_and_comes_once(box: Box, form: str) -> None:
    box.hosts("box1", "box2", "box3")
    run = box.run(BAD, ANSIBLE_CALLBACK_RESULT_FORMAT=form)
    assert run.output.count('\n  4. llm_models[0].provider is "opanai"\n') == 1
    assert run.output.count("They are listed above.") == 3
    assert "\\n" not in run.output


def test_good_variables_change_nothing_and_the_play_goes_on(box: Box) -> None:
    run = box.run(GOOD)
    assert run.rc == 0, run.output
    assert "went on" in run.output
    assert "changed=0" in run.output


def test_a_host_with_bad_variables_is_named(box: Box) -> None:
    box.hosts("box1 reverse_proxy_port=0", "box2")
    run = box.run(GOOD)
    assert run.rc == 2
    assert "fatal: [box1]: FAILED!" in run.output
    assert "ok: [box2]" in run.output


BROKEN: list[tuple[str, str, str, str]] = [
    (
        '"{{ provider_secret }}"',
        "llm_models[0].api_key",
        "'provider_secret' is undefined",
        "Define provider_secret",
    ),
    (
        '"{{ vault_opena_key }}"',
        "llm_models[0].api_key",
        "undefined",
        'Did you mean "vault_openai_key"?',
    ),
    ('"{{ }}"', "llm_models[0].api_key", "cannot be evaluated", "Correct the template."),
    (
        "\"{{ 'x' | nosuchfilter }}\"",
        "llm_models[0].api_key",
        "nosuchfilter",
        "Correct the template.",
    ),
    (
        "!vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      3030\n",
        "llm_models[0].api_key",
        "cannot be evaluated",
        "vault's password",
    ),
]


@pytest.mark.parametrize(("value", "path", "reason", "cure"), BROKEN)
def test_what_cannot_be_evaluated_is_a_fault_with_the_variables_name(
    box: Box, value: str, path: str, reason: str, cure: str
) -> None:
    text = yaml.safe_dump({**GOOD, "vault_openai_key": KEY, "llm_models": []}).replace(
        "llm_models: []", f"llm_models:\n  - name: mock\n    provider: openai\n    api_key: {value}"
    )
    run = box.run(text)
    assert run.rc == 2
    assert "1 fault in the variables" in run.output
    paragraph = next(one for one in re.split(r"\n\s*\n", run.output) if f"1. {path}" in one)
    assert reason in paragraph
    assert cure in paragraph


def test_templates_are_evaluated_and_omitted_values_are_not_set(box: Box) -> None:
    text = """
my_port: 8081
llm_names: {first: mock}  # read by another variable, so no slip
reverse_proxy_port: "{{ my_port }}"
reverse_proxy_bind: "{{ omit }}"
llm_models: "{{ [{'name': llm_names.first, 'provider': 'mock'}] }}"
llm_default_model: "{{ llm_names.first }}"
stack_overrides: {litellm: {compose: {image: "{{ litellm_image }}"}}}  # a role's default
reverse_proxy_sites:
  - {host: llm.example.com, service: litellm, body_size: "{{ omit }}"}
"""
    run = box.run(text)
    assert run.rc == 0, run.output


def test_a_value_from_a_template_is_checked_as_well(box: Box) -> None:
    run = box.run({**GOOD, "my_port": 99999, "reverse_proxy_port": "{{ my_port }}"})
    assert "reverse_proxy_port is 99999" in run.output


@pytest.mark.parametrize("value", ["true", "yes", "300"])
def test_text_from_the_command_line_stands_for_what_it_says(box: Box, value: str) -> None:
    variable = "stack_wait_seconds" if value.isdigit() else "stack_remove_data"
    assert box.run(GOOD, "--extra-vars", f"{variable}={value}").rc == 0


def test_a_play_can_name_its_roles(box: Box) -> None:
    assert box.run({"docker_host_source": "auto"}, roles="[gpubox.llm.docker_host]").rc == 0
    assert "llm_models" in box.run({"docker_host_source": "auto"}).output
    run = box.run(GOOD, roles="[docker_hots]")
    assert run.rc == 2
    assert 'Did you mean "docker_host"?' in run.output


def test_the_playbook_of_the_site_ends_before_anything_else_runs(box: Box) -> None:
    run = box.run(BAD, playbook=str(ROOT / "playbooks" / "site.yml"))
    assert run.rc == 2
    assert len(re.findall(r"^TASK ", run.output, re.MULTILINE)) == 1
    assert f"{len(FAULTS)} faults" in run.output
