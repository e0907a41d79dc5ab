"""Whether a server can be reached, and what its client says."""

import socket
import urllib.parse
import urllib.request

_SECONDS = 3.0


def is_reachable(url):
    """Whether a server accepts connections.

    The clients of hubs try again and again before they give up, which takes
    half a minute without network. Behind a proxy only they know, so the answer
    is `True` there.

    Args:
        url: str, any address of the server.
    """
    if is_proxied(url):
        return True
    parts = urllib.parse.urlsplit(url)
    port = parts.port or {"http": 80}.get(parts.scheme, 443)
    try:
        socket.create_connection((parts.hostname, port), _SECONDS).close()
    except OSError:
        return False
    return True


def is_proxied(url):
    """Whether a client connects to a proxy instead of the server of a URL."""
    parts = urllib.parse.urlsplit(url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return False
    return parts.scheme in proxies or "all" in proxies


def first_line(error):
    """The first line of what an error of a client says, or its name."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
