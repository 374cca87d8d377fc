"""Hugging Face's server, reached or not, without a word from its libraries."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from brittle.ground import package, quiet


@contextmanager
def reached(name: str, asked: str) -> Iterator[None]:
    """Within, what is called `name` is looked for in the libraries' cache alone where their server has no address: else
    they would ask for it again and again, for half a minute each."""
    constants = package("huggingface_hub.constants", asked, "hub")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not (Path(name).exists() or _has_address(constants.ENDPOINT))
    try:
        with quiet():
            yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _has_address(url: str) -> bool:
    if getproxies():  # which know the address
        return True
    try:
        return bool(socket.getaddrinfo(urlsplit(url).hostname, 443))
    except OSError:
        return False
