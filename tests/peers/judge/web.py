"""HTTP on this machine: no proxy, no redirect hidden, every status an answer."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SECONDS = 120


@dataclass
class Answer:
    status: int
    content_type: str
    body: bytes

    def json(self):
        return json.loads(self.body)

    def parts(self):
        """The bodies of a multipart answer."""
        boundary = self.content_type.split("boundary=")[1].split(";")[0].strip('"').encode()
        parts = (b"\r\n" + self.body).split(b"\r\n--" + boundary)[1:-1]
        return [part.split(b"\r\n\r\n", 1)[1] for part in parts]


def ask(url, accept="*/*", body=None, content_type="application/json", method=None):
    headers = {"Accept": accept}
    if body is not None:
        headers["Content-Type"] = content_type
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with OPENER.open(request, timeout=SECONDS) as answer:
            return Answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
    except urllib.error.HTTPError as answer:
        return Answer(answer.code, answer.headers.get("Content-Type", ""), answer.read())


def is_up(url):
    """Whether something answers 200 there."""
    try:
        return ask(url).status == 200
    except OSError:
        return False
