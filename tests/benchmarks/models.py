# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure ollama_model with a real Ollama, side by side with what people use otherwise.

``nothing``: 20 models that are all there. ``cold``: one large file, over a line on which one connection crawls and over
an even one. ``shared``: four models that have their largest layer in common. All of it on loopback and turn by turn.
Who is not done after ``--limit`` seconds is stopped. Needs curl and aria2c.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.measuring import (
    MB,
    Contestant,
    Results,
    Stage,
    measure,
    middle,
    say,
    show,
    verdict,
)
from tests.benchmarks.model_store import (
    PREFIX,
    Layer,
    Ollama,
    Registry,
    content,
    noise,
    ollama,
    publish,
    registry,
)
from tests.benchmarks.prototypes import Filler
from tests.rig.models import tiny
from tests.rig.ollama import binary

OURS, PULL = "ollama_model", "ollama pull"
FILLER = "prototype: own downloader"
CURL, ARIA = "curl, one stream", "aria2c -x16"


def main() -> None:
    """One measurement after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["nothing", "cold", "shared"])
    parser.add_argument("--rounds", type=int, default=5, help="of the cheap ones")
    parser.add_argument("--cold-rounds", type=int, default=1, help="of those that download")
    parser.add_argument("--limit", type=float, default=90, help="seconds for one contestant")
    parser.add_argument(
        "--size",
        type=float,
        default=1000,
        help="MB of the large file; below 300 no third connection crawls",
    )
    parser.add_argument("--stream", type=float, default=20, help="MB/s of one connection")
    parser.add_argument("--link", type=float, default=120, help="MB/s of all together")
    parser.add_argument("--crawl", type=float, default=0.05, help="MB/s of the one that crawls")
    given = parser.parse_args()
    for program in ("aria2c", "curl"):
        if not shutil.which(program):
            parser.error(f"{program} is not installed; it is one of those measured against")
    line = {"stream": given.stream * MB, "link": given.link * MB}
    with tempfile.TemporaryDirectory() as scratch:
        stage = Stage(Path(scratch), given.limit)
        if "nothing" in given.parts:
            nothing(stage, given.rounds)
        if "cold" in given.parts:
            for crawl in (given.crawl * MB, 0.0):
                cold(stage, given.cold_rounds, int(given.size * MB), {**line, "crawl": crawl})
        if "shared" in given.parts:
            shared(stage, given.cold_rounds, line)


def ours(source: Registry, server: Ollama, names: list[str], state: str) -> dict[str, object]:
    """The arguments of our module."""
    return {
        "url": server.url,
        "models": [{"name": name, "state": state} for name in names],
        "insecure": True,
        "registries": [source.host],
    }


# 20 models with nothing to do

COUNT, LATENCY = 20, 0.1  # seconds that a manifest takes, where a registry is not next door
TASK, LATEST, EMPTY = "playbook, one task", "the same, state: latest", "playbook without a task"
LOOP, TASKS = "loop of ollama pull", "playbook, one command per model"


def nothing(stage: Stage, rounds: int) -> None:
    """All models are there: what does it cost to find that out?"""
    store = stage.scratch / "tiny"
    for number in range(COUNT):
        publish(store, f"tiny{number}", _parts_of_tiny(store, number))
    with registry(store) as source, ollama(stage.scratch) as server:
        names = [f"{source.host}/library/tiny{number}" for number in range(COUNT)]
        stage.pull(server, *names)
        contestants = _who_finds_nothing(stage, source, server, names)
        for latency in (0.0, LATENCY):
            title = f"{COUNT} models, nothing to do; a manifest takes {latency * 1000:.0f} ms"
            results: Results = {name: [] for name in contestants}
            for number in range(rounds):
                say(f"{title}: round {number + 1}")
                for name, act in contestants.items():
                    results[name].append(measure(act, source, server, latency=latency))
            show(title, results, OURS)
            empty = middle(results[EMPTY])
            ratio = (middle(results[TASKS]) - empty) / (middle(results[TASK]) - empty)
            verdict(
                "the module alone, against a loop of ollama pull",
                middle(results[LOOP]) / middle(results[OURS]),
                10,
            )
            verdict("its task, against a command task per model", ratio, 10)


def _parts_of_tiny(store: Path, number: int) -> list[Layer]:
    with tempfile.TemporaryDirectory() as home:
        model = tiny(Path(home) / "model.gguf", number).read_bytes()
    return [
        content(store, f"{PREFIX}model", model),
        content(store, f"{PREFIX}template", b"{{ .Prompt }}"),
        content(store, f"{PREFIX}license", b"Free.\n"),
        content(store, f"{PREFIX}params", b'{"temperature":0.5}'),
    ]


def _who_finds_nothing(
    stage: Stage, source: Registry, server: Ollama, names: list[str]
) -> dict[str, Contestant]:
    present, latest = (ours(source, server, names, state) for state in ("present", "latest"))
    command = {
        "ansible.builtin.command": {"argv": [str(binary()), "pull", "--insecure", "{{ item }}"]},
        "environment": {"OLLAMA_HOST": server.host, "HOME": str(server.models.parent)},
        "loop": names,
    }
    return {
        OURS: lambda: stage.module(present),
        LOOP: lambda: stage.pull(server, *names),
        TASK: stage.play("present", {"gpubox.llm.ollama_model": present}),
        LATEST: stage.play("latest", {"gpubox.llm.ollama_model": latest}),
        TASKS: stage.play("commands", command),
        EMPTY: stage.play("empty", {"ansible.builtin.meta": "noop"}),
    }


# One large file


def cold(stage: Stage, rounds: int, size: int, line: dict[str, float]) -> None:
    """A model that is not there."""
    crawl, store = line["crawl"], stage.scratch / "large"
    title = f"{size / MB:.0f} MB that are not there; "
    title += f"one connection crawls, {crawl / 1e3:.0f} kB/s" if crawl else "an even line"
    say(title)
    layer = noise(store, f"{PREFIX}model", size, 1)
    publish(store, "large", [layer])
    with registry(store) as source:
        results = _compete(_who_pulls_large(stage, source, layer), stage, source, rounds, line)
    show(title, results, PULL)
    _judge(results, size, line)


def _judge(results: Results, size: int, line: dict[str, float]) -> None:
    """Ours against Ollama's own command; and what the prototype would gain over what the module uses."""
    used = size / line["link"] / middle(results[OURS])
    print(f"ollama_model used {used:.0%} of the line")
    last = results[PULL][-1]
    if last.stopped:
        missing = size - last.sent
        minutes = missing / line["crawl"] / 60
        print(
            f"what was stopped of `ollama pull` still lacked {missing / MB:.0f} MB: {minutes:.0f} minutes more"
        )
    least = "at least " if last.stopped else ""
    verdict("ollama_model, against ollama pull", _ratio(results, PULL, OURS), 1.5, least)
    verdict(f"{FILLER}, against ollama_model", _ratio(results, OURS, FILLER), 1.5)
    verdict(f"{FILLER}, against aria2c", _ratio(results, ARIA, FILLER), 1)


def _ratio(results: Results, slow: str, fast: str) -> float:
    return middle(results[slow]) / middle(results[fast])


Puller = Callable[[Ollama], object]


def _who_pulls_large(stage: Stage, source: Registry, layer: Layer) -> dict[str, Puller]:
    name = f"{source.host}/library/large"
    address = f"http://{source.host}/v2/library/large/blobs/{layer.digest}"
    target = stage.scratch / "file"
    digest = layer.digest.removeprefix("sha256:")
    check = f"curl -fsSL -o '{target}' '{address}' && echo '{digest}  {target}' | sha256sum --check"
    aria = [
        *("aria2c", "--quiet", "--no-conf", "--file-allocation=none", "--allow-overwrite=true"),
        *("-x16", "-s16", "-k1M", f"--checksum=sha-256={digest}", "-d", str(target.parent)),
        *("-o", target.name, address),
    ]
    return {
        PULL: lambda server: stage.pull(server, name),
        OURS: lambda server: stage.module(ours(source, server, [name], "present")),
        CURL: lambda _server: stage.program("sh", "-c", check),
        ARIA: lambda _server: stage.program(*aria),
        FILLER: lambda server: Filler(source.host, server.models).pull("large"),
    }


def _compete(
    pullers: dict[str, Puller],
    stage: Stage,
    source: Registry,
    rounds: int,
    line: dict[str, float],
) -> Results:
    """Turn by turn; each begins with a server that has nothing."""
    results: Results = {name: [] for name in pullers}
    for number in range(rounds):
        for name, pull in pullers.items():
            with ollama(stage.scratch) as server:
                run = measure(lambda: pull(server), source, server, **line)  # noqa: B023 - called at once
            say(f"  round {number + 1}: {name} {run.seconds:.1f} s{', stopped' * run.stopped}")
            results[name].append(run)
        (stage.scratch / "file").unlink(missing_ok=True)
    return results


# Four models, one large layer


BASE, OWN = 300 * MB, 60 * MB


def shared(stage: Stage, rounds: int, line: dict[str, float]) -> None:
    """Four models on one base, each with a layer of its own."""
    store = stage.scratch / "shared"
    models = [f"fine{number}" for number in range(4)]
    base = noise(store, f"{PREFIX}model", BASE, 100)
    for number, model in enumerate(models):
        publish(store, model, [base, noise(store, f"{PREFIX}adapter", OWN, 101 + number)])
    with registry(store) as source:
        names = [f"{source.host}/library/{model}" for model in models]
        pullers: dict[str, Puller] = {
            PULL: lambda server: stage.pull(server, *names),
            OURS: lambda server: stage.module(ours(source, server, names, "present")),
            FILLER: lambda server: Filler(source.host, server.models).pull(*models),
        }
        title = f"4 models, {BASE // MB} MB in common and {OWN // MB} MB of their own"
        say(title)
        results = _compete(pullers, stage, source, rounds, line)
    show(title, results, PULL)
    verdict("one call, against a loop of ollama pull", _ratio(results, PULL, OURS), 1)


if __name__ == "__main__":
    main()
