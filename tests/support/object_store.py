"""A real S3 server over HTTP, for a test and all processes that it starts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer


@contextmanager
def empty_bucket(name: str, sent: Counter[str] | None = None) -> Iterator[str]:
    """Starts a server, sets the environment variables that name it, and yields the URI of an empty bucket.

    Args:
        name: of the bucket.
        sent: receives the number of bytes that the server has sent of each object, by '/BUCKET/KEY'.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    if sent is not None:
        assert server._server is not None
        server._server.app = _counted(server._server.app, sent)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "key")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            boto3.client("s3").create_bucket(Bucket=name)
            yield f"s3://{name}"
    finally:
        server.stop()


def _counted(app: Callable[..., Iterable[bytes]], sent: Counter[str]) -> Callable[..., Iterable[bytes]]:
    """The WSGI application, with the bodies of its answers to GET counted."""

    def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        for part in app(environ, start_response):
            if environ["REQUEST_METHOD"] == "GET":
                sent[environ["PATH_INFO"]] += len(part)
            yield part

    return counted
