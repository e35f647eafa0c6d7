# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the quickstart serves: chosen once, and the user's from then on."""

from __future__ import annotations

import importlib.util
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.repository import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

spec = importlib.util.spec_from_file_location(
    "quickstart_model", ROOT / "scripts/quickstart_model.py"
)
assert spec
assert spec.loader
quickstart_model = importlib.util.module_from_spec(spec)
spec.loader.exec_module(quickstart_model)


class Answer(BaseHTTPRequestHandler):
    status = 401

    def do_HEAD(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def registry() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "models.yml"
    monkeypatch.setattr(quickstart_model, "FILE", path)
    return path


def reach(monkeypatch: pytest.MonkeyPatch, models: str, images: str) -> None:
    monkeypatch.setattr(quickstart_model, "MODELS", models)
    monkeypatch.setattr(quickstart_model, "IMAGES", images)


@pytest.mark.parametrize(
    ("memory", "model"),
    [(2, "qwen2.5:0.5b"), (7.6, "llama3.2:1b"), (24, "llama3.2:3b"), (512, "llama3.2:3b")],
)
def test_the_choice_fits_the_memory(memory: float, model: str) -> None:
    assert quickstart_model.choose(memory) == model


def test_where_models_can_be_reached_one_is_chosen_once(
    file: Path, registry: str, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(monkeypatch, registry, registry)
    monkeypatch.setattr(quickstart_model, "memory_gb", lambda: 8)
    quickstart_model.main("")
    written = file.read_text()
    assert yaml.safe_load(written) == {
        "llm_default_model": "llama3.2:1b",
        "llm_models": [{"name": "llama3.2:1b", "provider": "ollama"}],
    }
    reach(monkeypatch, nobody, nobody)
    quickstart_model.main("")
    assert file.read_text() == written


@pytest.mark.parametrize("missing", ["models", "images"])
def test_where_they_cannot_the_mock_stays_and_it_says_so(
    missing: str,
    file: Path,
    registry: str,
    nobody: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reach(monkeypatch, *((nobody, registry) if missing == "models" else (registry, nobody)))
    quickstart_model.main("")
    assert not file.exists()
    said = capsys.readouterr().out
    assert f"registry of {missing} cannot be reached" in said
    assert "refused" in said
    assert "mock" in said


def test_a_server_error_is_no_registry(
    file: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answer, "status", 502)
    reach(monkeypatch, registry, registry)
    quickstart_model.main("")
    assert not file.exists()


def test_models_are_added_and_the_last_one_is_the_default(file: Path) -> None:
    quickstart_model.main("llama3.2:3b")
    edited = file.read_text().replace("{name", "{context: 4096, name")
    file.write_text(edited + "# mine\n")
    quickstart_model.main("qwen3:8b")
    quickstart_model.main("qwen3:8b")
    assert yaml.safe_load(file.read_text()) == {
        "llm_default_model": "qwen3:8b",
        "llm_models": [
            {"context": 4096, "name": "llama3.2:3b", "provider": "ollama"},
            {"name": "qwen3:8b", "provider": "ollama"},
        ],
    }
    assert "# mine" in file.read_text()


def test_a_file_that_the_user_arranged_anew_is_left_alone(file: Path) -> None:
    text = "llm_models:\n  - {name: a, provider: mock}\nllm_default_model: a\nother:\n  - 1\n"
    file.write_text(text)
    with pytest.raises(SystemExit, match="Add this there yourself"):
        quickstart_model.main("llama3.2:3b")
    assert file.read_text() == text


def test_a_model_of_a_file_is_named_after_it(file: Path, tmp_path: Path) -> None:
    model = tmp_path / "My Model Q4.gguf"
    model.write_bytes(b"GGUF")
    quickstart_model.main(str(model))
    assert yaml.safe_load(file.read_text())["llm_models"] == [
        {"name": "my-model-q4", "provider": "ollama", "ollama": {"file": str(model)}}
    ]
    with pytest.raises(SystemExit, match="no such file"):
        quickstart_model.main(str(tmp_path / "none.gguf"))
