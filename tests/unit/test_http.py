# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: what is asked again, what each failure is called, what an error shows; over sockets, with real bad luck."""

from __future__ import annotations

import io
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gpubox.llm.plugins.module_utils import _http
from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    ConnectError,
    Cut,
    Http,
    HttpError,
    NotFound,
    ProtocolError,
    RateLimited,
    Request,
    Response,
    Stalled,
    StatusError,
    Transport,
    Unauthorized,
    server_words,
    transport,
)

from tests.unit.fakes.serve import Handle, answer, content, serve, stream

# In memory


class Clock:
    """Time that goes by only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Script:
    """A transport that plays answers and failures; the last one again and again."""

    def __init__(self, *scenes: int | tuple[int, dict[str, str]] | type[HttpError]) -> None:
        self.scenes = list(scenes)
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        scene = self.scenes.pop(0) if len(self.scenes) > 1 else self.scenes[0]
        if isinstance(scene, type):
            raise scene(request, "as the script says")
        status, headers = scene if isinstance(scene, tuple) else (scene, {})
        return answer(request, status, {"error": "no"} if status >= 400 else {}, headers)


def client(transport: Transport, clock: Clock | None = None, **options: Any) -> Http:
    clock = clock or Clock()
    return Http("http://api:80/", transport, sleep=clock.sleep, clock=lambda: clock.now, **options)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("scene", [429, 502, 503, 504, ConnectError, Cut])
def test_reading_is_tried_again(method: str, scene: Any) -> None:
    script = Script(scene, scene, 200)
    assert client(script).call(method, "/x").status == 200
    assert len(script.asked) == 3


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("scene", [429, 503, ConnectError, Cut])
def test_writing_is_not(method: str, scene: Any) -> None:
    script = Script(scene, 200)
    with pytest.raises(HttpError):
        client(script).call(method, "/x")
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("method", "times"), [("PUT", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1), ("GET", 2)]
)
def test_what_may_be_repeated_is_if_the_caller_says_so(method: str, times: int) -> None:
    script = Script(503, 200)
    try:
        client(script).call(method, "/x", retry=True)
    except StatusError:
        assert times == 1
    assert len(script.asked) == times


@pytest.mark.parametrize("scene", [400, 401, 403, 404, 405, 409, 500, 501, Stalled, ProtocolError])
def test_what_does_not_pass_is_not_tried_again(scene: Any) -> None:
    script = Script(scene, 200)
    with pytest.raises(HttpError):
        client(script).call("GET", "/x")
    assert len(script.asked) == 1


@pytest.mark.parametrize("bound", [0, 1, 7, 60, 200])
@pytest.mark.parametrize("scene", [503, ConnectError, (429, {"Retry-After": "5"})])
def test_all_tries_together_are_bounded(bound: float, scene: Any) -> None:
    clock = Clock()
    with pytest.raises(HttpError):
        client(Script(scene), clock, retry_seconds=bound).call("GET", "/x")
    assert clock.now <= bound
    assert clock.slept == sorted(clock.slept), "it gets more patient, not less"
    assert not clock.slept or max(clock.slept) <= 30


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ("7", 7),
        ("0", 0.5),
        ("-3", 0.5),
        ("3600", 30),
        ("inf", 30),
        ("nan", 0.5),
        ("soon", 0.5),
        ("", 0.5),
    ],
)
def test_the_server_says_how_long_to_wait(said: str, waits: float) -> None:
    clock = Clock()
    client(Script((503, {"Retry-After": said}), 200), clock).call("GET", "/x")
    assert clock.slept == [waits]


@pytest.mark.parametrize(("ahead", "waits"), [(20, 20), (-100, 0.5), (9000, 30)])
def test_it_may_say_so_as_a_date(ahead: float, waits: float) -> None:
    clock = Clock()
    date = formatdate(time.time() + ahead, usegmt=True)
    client(Script((429, {"Retry-After": date}), 200), clock).call("GET", "/x")
    assert clock.slept == [pytest.approx(waits, abs=2)]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (429, RateLimited),
        (500, StatusError),
        (301, StatusError),
    ],
)
def test_a_status_has_its_error(status: int, error: type[StatusError]) -> None:
    with pytest.raises(StatusError) as raised:
        client(Script(status), retry_seconds=0).call("GET", "/x")
    assert raised.type is error
    assert raised.value.status == status


def test_an_expected_status_is_no_error_and_is_not_tried_again() -> None:
    for status in (404, 503):
        script = Script(status)
        assert client(script).call("GET", "/x", ok=(200, status)).status == status
        assert len(script.asked) == 1


def test_data_is_sent_as_json_and_bytes_as_they_are() -> None:
    script = Script(200)
    api = client(script)
    api.call("POST", "/x", body={"a": [1]}, headers={"X-Mine": "1"})
    api.call("POST", "/x", body=b"\0")
    api.call("POST", "/x", body=[])
    assert [one.body for one in script.asked] == [b'{"a": [1]}', b"\0", b"[]"]
    asked = script.asked
    assert asked[0].headers == {"Content-Type": "application/json", "X-Mine": "1"}
    assert asked[1].headers == {}
    assert asked[0].url == "http://api:80/x"


SECRETS = ("hunter2hunter2", "s3cr3t-in-header", "query-s3cr3t")


def test_an_error_shows_method_url_status_and_words_but_no_secret() -> None:
    def echo(request: Request) -> Response:
        return answer(request, 401, {"error": f"key {SECRETS[1]} is not valid"})

    api = Http(
        f"http://user:{SECRETS[0]}@host:81",
        echo,
        headers={"Authorization": f"Bearer {SECRETS[1]}", "Accept": "is"},
    )
    with pytest.raises(Unauthorized) as raised:
        api.call("GET", f"/v1/x?token={SECRETS[2]}")
    assert str(raised.value) == "GET http://host:81/v1/x: 401 Unauthorized: key *** is not valid"
    assert not any(secret in repr(raised.value) for secret in SECRETS)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "model \'x\' not found"}', "model 'x' not found"),
        (b'{"error": {"message": "no", "code": 4}}', "no"),
        (b'{"errors": [{"code": "X", "message": "a"}, {"message": "b"}]}', "a; b"),
        (b'{"detail": "d"}', "d"),
        (b'{"code": 1}', ""),
        (b'"text"', "text"),
        (b"", ""),
        (b"<html><style>p {}</style><h1>502 Bad\nGateway</h1></html>", "502 Bad Gateway"),
        (b"a\x1b[31mred\x00\xff", "a [31mred \N{REPLACEMENT CHARACTER}"),
        (b"x" * 1000, "x" * 300),
    ],
)
def test_the_words_are_one_short_line(body: bytes, words: str) -> None:
    assert server_words(answer(Request("GET", "http://x"), 500, body or None)) == words


def test_an_answer_that_is_no_json_is_said_to_be_none() -> None:
    with pytest.raises(ProtocolError, match=r"GET http://api:80/x: no JSON in the answer \(200\)"):
        client(lambda one: answer(one, 200, b"<html>")).json("GET", "/x")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_do_not_depend_on_how_bytes_arrive(size: int) -> None:
    text = b'{"a": 1}\n\n{"b": "\xc3\xa4"}\n{"c": 3}'
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    api = client(lambda one: Response(one, 200, {}, pieces))
    assert list(api.stream("POST", "/x")) == [{"a": 1}, {"b": "ä"}, {"c": 3}]


@pytest.mark.parametrize("line", [b"[1]", b"no", b'{"a"', b"\xff\xfe"])
def test_a_line_that_is_no_object_ends_the_stream(line: bytes) -> None:
    objects = client(lambda one: Response(one, 200, {}, [b'{"a": 1}\n', line])).stream("GET", "/x")
    assert next(objects) == {"a": 1}
    with pytest.raises(ProtocolError):
        next(objects)


def test_a_stream_is_asked_for_before_anybody_reads_it() -> None:
    with pytest.raises(NotFound):
        client(Script(404)).stream("GET", "/x")


def test_who_stops_reading_a_stream_ends_it() -> None:
    closed = threading.Event()
    lines = iter([b"{}\n", b"{}\n"])
    api = client(lambda one: Response(one, 200, {}, lines, close=closed.set))
    with closing(api.stream("GET", "/x")) as objects:
        next(objects)
        assert not closed.is_set()
    assert closed.is_set()


def test_no_answer_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http.messages, "LONGEST_BYTES", 1000)

    def endless(request: Request) -> Response:
        return Response(request, 200, {}, iter(lambda: b"x" * 100, b""))

    with pytest.raises(ProtocolError, match="longer"):
        client(endless).json("GET", "/x")
    with pytest.raises(ProtocolError, match="longer"):
        next(client(endless).stream("GET", "/x"))


# Over a socket


@contextmanager
def raw(*pieces: bytes, pause: float = 0.0, hold: bool = False) -> Iterator[str]:
    """A server that reads a request and sends these bytes, whatever they are; ``hold``: and then nothing."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def play() -> None:
            with listener.accept()[0] as peer:
                peer.recv(65536)
                for piece in pieces:
                    peer.sendall(piece)
                    time.sleep(pause)
                if hold:
                    over.wait(10)

        thread = threading.Thread(target=play, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join(timeout=10)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("pieces", "error", "said"),
    [
        ([], Cut, "the connection ended without an answer"),
        ([b"HTTP/1.1 2"], ProtocolError, "what answers there does not speak HTTP"),
        ([b"SSH-2.0-OpenSSH_9\r\n"], ProtocolError, "what answers there does not speak HTTP"),
        ([HEAD + b"Content-Length: 9\r\n\r\n{}"], Cut, "after 2 of 9 bytes|cut off"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"], Cut, "cut off"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}"], Cut, "cut off"),
    ],
)
def test_an_answer_that_ends_too_soon(
    pieces: list[bytes], error: type[HttpError], said: str
) -> None:
    with raw(*pieces) as url, pytest.raises(error, match=said):
        Http(url, transport(proxies={}), retry_seconds=0).json("GET", "/x")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "no byte for 0.2 s instead of an answer"),
        (HEAD + b"Content-Length: 9\r\n\r\n{}", "no byte for 0.2 s in the answer's body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "in the answer's body"),
        (HEAD + b"\r\n{}", "in the answer's body"),
    ],
)
def test_a_server_that_says_nothing_more_is_stalled(sent: bytes, said: str) -> None:
    with raw(sent, hold=True) as url, pytest.raises(Stalled, match=said):
        Http(url, transport(proxies={}, stall_seconds=0.2)).json("GET", "/x")


@pytest.mark.parametrize(
    "head", [HEAD + b"Content-Length: 16\r\n\r\n", HEAD + b"Connection: close\r\n\r\n"]
)
def test_a_slow_answer_is_not_stalled(head: bytes) -> None:
    with raw(head, b'{"a"', b": 1}", b'\n{"b', b'":2}', pause=0.25) as url:
        api = Http(url, transport(proxies={}, stall_seconds=0.8))
        assert list(api.stream("GET", "/x")) == [{"a": 1}, {"b": 2}]


def test_a_call_may_be_given_more_time_than_others() -> None:
    with raw(b"", HEAD + b"Content-Length: 2\r\n\r\n{}", pause=0.3) as url:
        patient = {"stall_seconds": 9}
        assert (
            Http(url, transport(proxies={}, stall_seconds=0.1)).json("GET", "/x", **patient) == {}
        )


def test_lines_come_while_the_server_still_works() -> None:
    going_on = threading.Event()

    def handle(request: Request) -> Response:
        def lines() -> Iterator[dict[str, int]]:
            yield {"n": 1}
            assert going_on.wait(5), "the client did not see the first line"
            yield {"n": 2}

        return stream(request, lines())

    with serve(handle) as server:
        objects = Http(server.url, transport(proxies={})).stream("POST", "/x", body={})
        assert next(objects) == {"n": 1}
        going_on.set()
        assert list(objects) == [{"n": 2}]


@pytest.mark.parametrize(("fault", "error"), [(Cut, Cut), (Stalled, Stalled)])
def test_a_fake_breaks_its_stream_in_memory_and_over_a_socket(
    fault: type[HttpError], error: type[HttpError]
) -> None:
    def handle(request: Request) -> Response:
        def lines() -> Iterator[dict[str, int]]:
            yield {"n": 1}
            raise fault(request, "as the fake wants")

        return stream(request, lines())

    with serve(handle) as server:
        for api in (Http("http://x", handle), Http(server.url, transport(stall_seconds=0.2))):
            objects = api.stream("POST", "/x", body={})
            assert next(objects) == {"n": 1}
            with pytest.raises(error):
                next(objects)


def test_a_file_is_sent_piece_by_piece() -> None:
    class Blob(io.BytesIO):
        largest = 0

        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            self.largest = max(self.largest, len(piece))
            return piece

    blob = Blob(b"0123456789" * 100_000)

    def handle(request: Request) -> Response:
        return answer(request, 201, {"length": len(content(request))})

    with serve(handle) as server:
        assert Http(server.url, transport()).json("POST", "/x", body=blob) == {"length": 1_000_000}
    assert blob.largest < 100_000
    assert server.requests[0].headers["content-length"] == "1000000"


def test_connections_are_kept_and_threads_share_them() -> None:
    peers: set[str] = set()

    def handle(request: Request) -> Response:
        peers.add(threading.current_thread().name)  # one for each connection
        return answer(request, 200, {})

    with serve(handle) as server:
        api = Http(server.url, transport())
        for _unused in range(5):
            api.json("GET", "/x")
        assert len(peers) == 1
        threads = [threading.Thread(target=api.json, args=("GET", "/x")) for _unused in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.requests) == 9


# Redirects, proxies, TLS


def redirecting(there: Callable[[], str], status: int = 307) -> Handle:
    return lambda request: answer(request, status, None, {"Location": there()})


def test_redirects_are_followed_only_if_asked_for_and_keep_secrets_at_home() -> None:
    headers = {"Authorization": "Bearer x", "Accept": "application/json", "X-Key": "y"}
    with (
        serve(lambda request: answer(request, 200, {"there": True})) as other,
        serve(redirecting(lambda: f"{other.url}/b")) as first,
    ):
        with pytest.raises(StatusError, match="307"):
            Http(first.url, transport()).call("GET", "/a")
        api = Http(first.url, transport(max_redirects=2), headers=headers)
        assert api.json("GET", "/a") == {"there": True}
        with pytest.raises(StatusError, match="307"):
            api.call("POST", "/a", body={})
    assert len(other.requests) == 1
    assert first.requests[1].headers["authorization"] == "Bearer x"
    assert other.requests[0].headers["accept"] == "application/json"
    assert not {"authorization", "x-key"} & set(other.requests[0].headers)


def test_a_redirect_on_the_same_server_keeps_the_headers() -> None:
    def handle(request: Request) -> Response:
        if request.url.endswith("/a"):
            return answer(request, 302, None, {"Location": "/b?x=1"})
        return answer(request, 200, {"seen": request.headers["authorization"]})

    with serve(handle) as server:
        api = Http(server.url, transport(max_redirects=1), headers={"Authorization": "me"})
        assert api.json("GET", "/a") == {"seen": "me"}


def test_a_circle_of_redirects_ends() -> None:
    with (
        serve(redirecting(lambda: "/again")) as server,
        pytest.raises(ProtocolError, match="more than 3 redirects"),
    ):
        Http(server.url, transport(max_redirects=3)).call("GET", "/a")
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("proxies", "no_proxy", "through"),
    [(None, "", True), (None, "target.invalid", False), ({}, "", False)],
)
def test_a_proxy_is_used_as_the_environment_or_the_caller_says(
    proxies: dict[str, str] | None, no_proxy: str, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serve(lambda request: answer(request, 200, {"via": "proxy"})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", no_proxy)
        api = Http("http://target.invalid", transport(proxies=proxies), retry_seconds=0)
        if through:
            assert api.json("GET", "/x") == {"via": "proxy"}
        else:
            with pytest.raises(ConnectError, match="no connection"):
                api.json("GET", "/x")


def test_no_credentials_come_from_a_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serve(lambda request: answer(request, 200, {})) as server:
        Http(server.url, transport()).call("GET", "/x")
    assert "authorization" not in server.requests[0].headers


def test_no_cookie_is_kept() -> None:
    with serve(lambda request: answer(request, 200, {}, {"Set-Cookie": "a=b"})) as server:
        api = Http(server.url, transport())
        api.call("GET", "/x")
        api.call("GET", "/x")
    assert "cookie" not in server.requests[1].headers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate that nobody signed, in one file."""
    file = tmp_path_factory.mktemp("tls") / "cert.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=x"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-", "-out", "-"]
    made = subprocess.run([*command.split(), *names], check=True, capture_output=True)
    file.write_bytes(made.stdout)
    return file


@contextmanager
def over_tls(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def play() -> None:
            while True:
                try:
                    peer, _unused = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(peer, server_side=True) as secured:
                        secured.recv(65536)
                        secured.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
                except OSError:
                    peer.close()

        threading.Thread(target=play, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_certificates_are_checked_unless_told_otherwise(certificate: Path) -> None:
    with over_tls(certificate) as url:
        script = Http(url, transport())
        with pytest.raises(ConnectError, match="no TLS connection: certificate verify failed"):
            script.call("GET", "/x")
        assert Http(url, transport(ca_file=str(certificate))).json("GET", "/x") == {}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Http(url, transport(validate_certs=False)).json("GET", "/x") == {}


def test_plain_http_is_no_tls() -> None:
    with serve(lambda request: answer(request, 200, {})) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(ConnectError, match="no TLS connection"):
            Http(url, transport()).call("GET", "/x")


@pytest.mark.parametrize(
    "url", ["", "localhost:80", "ftp://x", "http://", "http://[::1", "http://x:y"]
)
def test_what_is_no_url_is_said_at_once(url: str) -> None:
    api = Http(url, transport(proxies={}), sleep=lambda seconds: pytest.fail("waited"))
    with pytest.raises(ConnectError, match="no URL that can be asked"):
        api.call("GET", "/x")


def test_a_refused_connection_is_said_in_plain_words() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        api = Http(f"http://me:secret@127.0.0.1:{port}", transport(proxies={}), retry_seconds=0)
        with pytest.raises(ConnectError) as raised:
            api.call("GET", "/x?y=secret")
    assert str(raised.value) == f"GET http://127.0.0.1:{port}/x: no connection: Connection refused"


def test_a_ca_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConnectError, match="/nowhere"):
        Http("https://127.0.0.1:1", transport(ca_file="/nowhere"), retry_seconds=0).call("GET", "/")


def test_a_box_without_requests_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(HttpError, match="python3-requests"):
        Http("http://x", transport()).call("GET", "/x")
