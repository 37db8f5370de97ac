"""A headless Chromium for tests, driven by the DevTools protocol through a pipe.

Its path is in $DEEPERLAB_TEST_CHROMIUM, or it is on the PATH.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--no-zygote",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-pipe",
)
_PATIENCE = 20  # seconds


def find_chromium() -> str | None:
    """Path of the browser; None: there is none."""
    path = os.environ.get("DEEPERLAB_TEST_CHROMIUM", "")
    if os.path.isfile(path):
        return path
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """One page of a browser; a context manager.

    Args:
      chromium: path of the program.
      folder: for its profile and downloads.

    Attributes:
      requested: URLs that the page asked for.
      problems: messages of exceptions in its scripts.
    """

    def __init__(self, chromium: str, folder: str) -> None:
        self.requested, self.problems, self._events = [], [], []
        self._downloads = os.path.join(folder, "downloads")
        os.makedirs(self._downloads)
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        # The browser reads from descriptor 3 and writes to 4.
        command = [chromium, *_SWITCHES, f"--user-data-dir={folder}/profile", "about:blank"]
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._unread, self._session = 0, b"", None

    def __enter__(self) -> Browser:
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "DOM"):
            self._call(f"{domain}.enable")
        self._call("Page.setDownloadBehavior", behavior="allow", downloadPath=self._downloads)
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def resize(self, width: int, height: int) -> None:
        """The size of the window's inside, pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, url: str) -> None:
        self._call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        done = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, script: str, seconds: float = _PATIENCE) -> Any:
        """Waits until an expression is true, and gives its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.evaluate(script)
            if value:
                return value
            time.sleep(0.1)
        text = self.evaluate("document.body.innerText")
        raise AssertionError(f"waited in vain for {script}; the page says: {text}")

    def drop(self, selector: str, path: str) -> None:
        """Drops a file onto an element, as from a file manager."""
        x, y = self.middle_of(selector)
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self._call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def point_at(self, x: float, y: float) -> None:
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str) -> None:
        x, y = self.middle_of(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def middle_of(self, selector: str) -> tuple[float, float]:
        """(x, y) of an element's middle in the window; scrolls it into sight."""
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " if (!e) return null; e.scrollIntoView({block: 'center'});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];"
            "})()"
        )
        assert box, f"there is no {selector}"
        return tuple(box)

    def downloaded(self, ending: str) -> str:
        """Path of a file that was downloaded, once it is there."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            for name in os.listdir(self._downloads):
                path = os.path.join(self._downloads, name)
                size = os.path.getsize(path)
                time.sleep(0.3)
                # Whole, if it does not grow any more.
                if name.endswith(ending) and 0 < size == os.path.getsize(path):
                    return path
            self.evaluate("0")  # lets the browser's messages be read
        raise AssertionError(f"no file {ending} came, only {os.listdir(self._downloads)}")

    def screenshot(self, path: str) -> None:
        done = self._call("Page.captureScreenshot", format="png")
        with open(path, "wb") as file:
            file.write(base64.b64decode(done["data"]))

    # === The protocol: messages of JSON, each ended by a zero ===

    def _call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def _note(self, event):
        parameters = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(parameters["exceptionDetails"])

    def _read(self):
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], _PATIENCE)
            assert ready, "the browser does not answer"
            part = os.read(self._from, 1 << 16)
            assert part, "the browser ended"
            self._unread += part
        message, self._unread = self._unread.split(b"\0", 1)
        return json.loads(message)
