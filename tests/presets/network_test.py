import socket
import time

import pytest

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
