"""A headless Chromium, driven through the DevTools protocol over a pair of pipes: no port, no package, no download."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"]
PATIENCE = 30.0  # seconds that an answer may take


def find_browser() -> str | None:
    """The path of a Chromium, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one tab. `problems` are errors and exceptions of the pages since the last `open`."""

    def __init__(self, program: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="browser-"))
        read_by_it, self._write = os.pipe()
        self._read, written_by_it = os.pipe()
        flags = [*FLAGS, *(["--no-sandbox"] * (os.getuid() == 0)), f"--user-data-dir={self.folder}"]
        command = [program, *flags, "--remote-debugging-pipe", "about:blank"]
        self._process = subprocess.Popen(
            # The browser reads from descriptor 3 and writes to 4.
            ["bash", "-c", f'exec "$@" 3<&{read_by_it} 4>&{written_by_it}', "browser", *command],
            pass_fds=(read_by_it, written_by_it),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_by_it)
        os.close(written_by_it)
        self._buffer = b""
        self._id = 0
        self._session: str | None = None
        self._events: list[dict[str, Any]] = []
        self.problems: list[str] = []
        try:
            tab = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer. RuntimeError: the browser refuses; TimeoutError: it does not answer."""
        self._id += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._id, "method": method, "params": params, **session}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self._id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _message(self, deadline: float) -> dict[str, Any]:
        """The next message; events are remembered."""
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"the browser did not answer within {PATIENCE:.0f} s")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._buffer += part
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        if "method" in message:
            self._events.append(message)
            self._look_for_problems(message["method"], message["params"])
        return message

    def _look_for_problems(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "about:")):
            self.problems.append(f"asked for {params['request']['url']}")

    def open(self, url: str) -> None:
        """Load a page from scratch, and wait until it is drawn."""
        self.problems, self._events = [], []
        path, _, fragment = url.partition("#")
        # Another query each time: a change of the fragment alone loads nothing.
        self.call("Page.navigate", url=f"{path}?{self._id}#{fragment}")
        self._wait_for("Page.loadEventFired")
        self.settle()

    def _wait_for(self, method: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not any(event["method"] == method for event in self._events):
            self._message(deadline)
        self._events.clear()

    def run(self, script: str) -> Any:
        """The value of a script's last expression; a promise is waited for. AssertionError: it threw."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"]["exception"].get("description", script))
        return done["result"].get("value")

    def settle(self) -> None:
        """Wait for what the page does at its next frames: observers, drawing."""
        frame = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))"
        self.run(f"(async () => {{ for (let i = 0; i < 3; i += 1) await {frame}; }})()")

    def window(self, width: int, height: int, dark: bool = False) -> None:
        """Set the window's size in CSS pixels, and which colours its reader prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        if self._session:
            self.settle()

    def click(self, selector: str, count: int = 1) -> None:
        """A click of the mouse in the middle of an element; it must be the one that is hit there."""
        place = self.run(
            f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{ block: "center", inline: "center" }});
            const box = found.getBoundingClientRect();
            const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
            const hit = document.elementFromPoint(x, y);
            return found.contains(hit) || hit?.contains(found) ? [x, y] : `covered by ${{hit?.outerHTML.slice(0, 99)}}`;
            }})()"""
        )
        assert isinstance(place, list), f"{selector}: {place}"
        for n in range(1, count + 1):
            self.mouse("mousePressed", *place, clicks=n)
            self.mouse("mouseReleased", *place, clicks=n)
        self.settle()

    def mouse(self, kind: str, x: float, y: float, clicks: int = 1) -> None:
        """One event of the mouse; the left button is down while it is moved, if it was pressed before."""
        button = {"button": "left", "clickCount": clicks} if kind != "mouseMoved" else {}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def press(self, key: str) -> None:
        """A key by its name, as ArrowLeft."""
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Escape": 27, "Home": 36, "End": 35}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])
        self.settle()

    def picture(self, path: Path) -> None:
        """What the window shows, as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End the browser, and remove what it wrote."""
        for end in (self._write, self._read):
            os.close(end)  # it ends when nobody listens any more
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
