import contextlib
import socket
import threading
import time

import pytest

from hub_stand_in import COMMIT
from keras_drift.presets import hub
from keras_drift.presets import network

pytestmark = pytest.mark.backend_free


def test_server_that_listens_is_reachable(monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert network.is_reachable(f"http://127.0.0.1:{port}/api")
    assert not network.is_reachable(f"http://127.0.0.1:{port}/api")


def test_only_the_client_knows_behind_a_proxy(monkeypatch):
    proxies = {"https": "http://127.0.0.1:9"}
    monkeypatch.setattr("urllib.request.getproxies", lambda: proxies)
    assert network.is_reachable("https://name.invalid")
    assert not network.is_reachable("http://name.invalid")


def test_hosts_that_are_exempt_are_not_proxied(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost")
    assert network.is_proxied("https://name.invalid")
    assert not network.is_proxied("https://localhost/api")


@contextlib.contextmanager
def proxy_without_network(monkeypatch):
    """A proxy that has no connection itself, and says so."""
    from huggingface_hub.utils import close_session

    def answer(server):
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                client.recv(1000)
                client.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
                client.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, address)
        close_session()  # the client reads the environment once
        yield
        server.shutdown(socket.SHUT_RDWR)
    close_session()


@pytest.fixture(params=["refuses", "closed"])
def _no_network_behind_a_proxy(request, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with proxy_without_network(monkeypatch):
        if request.param == "closed":
            for name in ("https_proxy", "HTTPS_PROXY"):
                monkeypatch.setenv(name, "http://127.0.0.1:9")
        yield


@pytest.mark.usefixtures("_no_network_behind_a_proxy")
def test_hub_is_given_up_at_once_behind_a_proxy(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.perf_counter()
    with pytest.raises(ConnectionError, match="hf download owner/name conf"):
        hub.fetch("owner/name", "config.json")
    assert time.perf_counter() - start < 10


@pytest.mark.usefixtures("_no_network_behind_a_proxy")
def test_cached_copies_are_found_behind_a_proxy(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--owner--name"
    place = repository / "snapshots" / COMMIT / "config.json"
    place.parent.mkdir(parents=True)
    place.write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    assert hub.fetch("owner/name", "config.json") == place


def test_hub_is_given_up_at_once_without_network(tmp_path, monkeypatch):
    # The client of the hub alone tries for 24 seconds.
    from huggingface_hub import constants

    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "https://name.invalid")
    start = time.perf_counter()
    try:
        hub.fetch("owner/name", "config.json")
    except ConnectionError as error:
        message = str(error)
    assert "`hf download owner/name config.json`" in message
    assert time.perf_counter() - start < 10
