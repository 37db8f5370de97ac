"""A bucket of Google's storage on this machine, for TensorFlow and for fsspec.

    python -m tests.bucket PROGRAM…      runs a program that finds it at gs://bucket

The emulator is gcp-storage-emulator. TensorFlow knows no other address than Google's, so it is
given a proxy and a certificate of our own, behind which the emulator stands.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

NAME = "bucket"
HOSTS = ("storage.googleapis.com", "www.googleapis.com")


def _handlers():
    """The handlers of the proxy, and of what goes through it."""
    from gcp_storage_emulator import server

    read_data = server._read_data

    def empty_is_no_data_either(handler, query):
        data = read_data(handler, query)
        return b"" if data is None and "uploadType" in query else data

    server._read_data = empty_is_no_data_either

    class Secured(server.RequestHandler):
        protocol_version = "HTTP/1.1"

        def parse_request(self):
            parsed = super().parse_request()
            # TensorFlow gives both; where data come in chunks their length does not count.
            if parsed and self.headers.get("Transfer-Encoding") == "chunked":
                del self.headers["Content-Length"]
            return parsed

        def send_header(self, keyword, value):
            # The emulator does not know by which address it is spoken to.
            value = value.replace("http://", "https://") if keyword == "Location" else value
            super().send_header(keyword, value)

    class Proxy(server.RequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self):
            self.send_response(200)
            self.end_headers()
            with self.server.tls.wrap_socket(self.connection, server_side=True) as secured:
                Secured(self.storage, secured, self.client_address, self.server)
            self.close_connection = True

    return Proxy


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that go away are no news."""


def serve(certificate: str) -> dict[str, str]:
    """Serves gs://bucket from memory for as long as this process lives.

    Args:
      certificate: file to write the certificate to.

    Returns:
      the environment in which programs find it.
    """
    import trustme
    from gcp_storage_emulator.handlers import buckets
    from gcp_storage_emulator.storage import Storage

    storage = Storage(use_memory_fs=True)
    buckets.create_bucket(NAME, storage)
    server = _Server(("127.0.0.1", 0), functools.partial(_handlers(), storage))
    authority = trustme.CA()
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(server.tls)
    authority.cert_pem.write_to_path(certificate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    return {
        "https_proxy": address,
        "no_proxy": "127.0.0.1,localhost",  # for processes that train together
        "CURL_CA_BUNDLE": certificate,
        "NO_GCE_CHECK": "true",  # or TensorFlow looks for Google's machines for a while
        "GCS_RETRY_CONFIG_MAX_RETRIES": "2",
        "STORAGE_EMULATOR_HOST": address,
    }


@contextlib.contextmanager
def served() -> Iterator[dict[str, str]]:
    """A process of its own that serves gs://bucket; gives the environment for programs."""
    command = [sys.executable, "-m", "tests.bucket"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=60)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = serve(os.path.join(folder, "certificate.pem"))
        if len(sys.argv) > 1:
            sys.exit(subprocess.call(sys.argv[1:], env={**os.environ, **environment}))
        print(json.dumps(environment), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
