"""A small server that speaks enough of W&B's HTTP API for the real client: runs, artifacts, reports.

What it stores is what a test asks about: the rows of each run with their offsets, config, summary,
state, the files of artifacts, and the specification of reports.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from wandb_stub_shelf import Shelf

KEY = "0123456789" * 4  # the client wants forty characters
ENTITY = "me"


@dataclass
class StoredRun:
    """What the server knows of a run."""

    name: str
    project: str
    entity: str
    info: dict[str, Any] = field(default_factory=dict)  # groupName, jobType, tags, displayName as last sent
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    state: str = "running"
    posted: int = 0  # rows received, those sent again too

    @property
    def steps(self) -> list[int]:
        """The steps of its history, in the order in which it lies."""
        return [row["_step"] for row in self.history]

    @property
    def plain_config(self) -> dict[str, Any]:
        """Its configuration without the client's wrapping."""
        return {key: entry["value"] for key, entry in self.config.items() if key != "_wandb"}


class WandbStub(Shelf):
    """Use as a context manager; `env` makes a client talk to it."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, StoredRun] = {}
        self.alerts: list[dict[str, str]] = []
        self.refuse = False  # answer 401 to everything
        self.accept: int | None = None  # rows a run's history may hold; then the server fails
        self.behind = 0  # steps that the index of histories lags behind
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def env(self) -> dict[str, str]:
        """Environment variables of a client."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}

    def upload_url(self, name: str) -> str:
        """Where a file is to be put."""
        return f"{self.url}/upload/{name}"

    def __enter__(self) -> WandbStub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def graphql(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The `data` of an answer."""
        operations = re.findall(r"^\s*(?:query|mutation)\s+(\w+)", query, re.MULTILINE)
        name = operations[0] if operations else ""
        answer = getattr(self, f"_{name}", None)
        with self._lock:
            if answer is None:
                return {}  # features that this server does not have
            return answer(given)

    def stream(self, name: str, sent: dict[str, Any]) -> bool:
        """Rows, summary and end of a run; False where the server is to fail."""
        with self._lock:
            run = self.runs[name]
            files = sent.get("files", {})
            if "wandb-history.jsonl" in files:
                chunk = files["wandb-history.jsonl"]
                rows = [json.loads(line) for line in chunk["content"]]
                run.posted += len(rows)
                run.history[chunk["offset"] : chunk["offset"] + len(rows)] = rows
                if self.accept is not None and len(run.history) > self.accept:
                    del run.history[self.accept :]
                    return False
            if "wandb-summary.json" in files:
                run.summary = json.loads(files["wandb-summary.json"]["content"][-1])
            if sent.get("preempting"):
                run.state = "preempting"
            if sent.get("complete"):
                bad = "preempted" if run.state == "preempting" else "failed"
                run.state = bad if sent.get("exitcode") else "finished"
        return True

    # ---- the operations, by the names that the client gives them

    def _Viewer(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        teams = {"edges": []}
        return {
            "viewer": {"id": "VQ==", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "teams": teams}
        }

    _GetDefaultEntity = _Viewer

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        run = self.runs.get(given["name"])
        if run is None:
            return {"model": None}
        bucket = {
            **self._bucket(run),
            "summaryMetrics": json.dumps(run.summary),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": "[]",
            "tags": run.info.get("tags") or [],
            "notes": None,
            "wandbConfig": json.dumps({"t": 1}),
        }
        return {"model": {**_project(run), "bucket": bucket}}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        inserted = given["name"] not in self.runs
        project, entity = given.get("project") or "uncategorized", given.get("entity") or ENTITY
        run = self.runs.setdefault(given["name"], StoredRun(given["name"], project, entity))
        run.info |= {key: value for key, value in given.items() if value is not None}
        if given.get("config"):
            run.config = json.loads(given["config"])
        if given.get("host"):  # a client that starts; later ones change the configuration alone
            run.state = "running"
        return {"upsertBucket": {"bucket": {**self._bucket(run), "description": ""}, "inserted": inserted}}

    def _Run(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        run = self.runs.get(given["name"])
        if run is None:
            return {"project": {"run": None}}
        known = {
            **self._bucket(run),
            "projectId": "1",
            "tags": run.info.get("tags") or [],
            "state": run.state,
            "group": run.info.get("groupName"),
            "jobType": run.info.get("jobType"),
            "readOnly": False,
            **dict.fromkeys(("commit", "notes", "description")),
            **dict.fromkeys(("createdAt", "heartbeatAt"), "2024-01-01T00:00:00Z"),
            "systemMetrics": "{}",
            "summaryMetrics": json.dumps(run.summary),
            "user": {"name": ENTITY, "username": ENTITY},
            "historyKeys": self._history_keys(run),
        }
        return {"project": {"run": known}}

    def _RunHistoryKeys(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"project": {"run": {"historyKeys": self._history_keys(self.runs[given["name"]])}}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": []}}

    def _NotifyScriptableRunAlert(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.alerts.append({key: given[key] for key in ("runName", "title", "text", "severity")})
        return {"notifyScriptableRunAlert": {"success": True}}

    def _GetProjects(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        names = dict.fromkeys(run.project for run in self.runs.values())
        node = {"__typename": "Project", "createdAt": "2024-01-01T00:00:00Z", "isBenchmark": False, "user": None}
        edges = [{"node": {**node, "id": "UQ==", "name": name, "entityName": given["entity"]}} for name in names]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"pageInfo": page, "edges": edges}}

    def _history_keys(self, run: StoredRun) -> dict[str, Any]:
        last = run.steps[-1] - self.behind if run.steps else -1
        return {"lastStep": last, "keys": {}, "sets": []}

    def _bucket(self, run: StoredRun) -> dict[str, Any]:
        return {
            "id": base64.b64encode(run.name.encode()).decode(),
            "name": run.name,
            "displayName": run.info.get("displayName") or run.name,
            "config": json.dumps(run.config),
            "sweepName": None,
            "project": _project(run),
            "historyLineCount": len(run.history),
        }


def _project(run: StoredRun) -> dict[str, Any]:
    return {"id": "UQ==", "name": run.project, "entity": {"id": "RQ==", "name": run.entity}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: WandbStub

    def do_PUT(self) -> None:
        self.stub.files[self.path.rsplit("/", 1)[-1]] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if self.stub.refuse:
            self._answer({"errors": [{"message": "invalid API key"}]}, 401)
        elif self.path.endswith("/graphql"):
            asked = json.loads(body)
            self._answer({"data": self.stub.graphql(asked["query"], asked.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            fine = self.stub.stream(self.path.split("/")[-2], json.loads(body))
            self._answer({}, 200 if fine else 500)
        else:
            self._answer({})

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def _answer(self, data: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""
