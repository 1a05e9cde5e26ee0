"""The part of the local W&B server that keeps artifacts and reports."""

from __future__ import annotations

import base64
import json
from typing import Any


class Shelf:
    """Answers the operations of artifacts and reports, by the names that the client gives them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}  # uploaded files of artifacts by name
        self.artifacts: list[dict[str, Any]] = []  # as they were asked for, with their state
        self.reports: dict[str, dict[str, Any]] = {}  # by id; "spec" is parsed

    def upload_url(self, name: str) -> str:
        """Where a file is to be put."""
        raise NotImplementedError

    def _upsertView(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = given["id"] or base64.b64encode(f"View:{len(self.reports)}".encode()).decode()
        self.reports[name] = {**given, "spec": json.loads(given["spec"])}
        project = {"id": "UQ==", "name": given["projectName"], "entityName": given["entityName"]}
        shown = {key: given[key] for key in ("type", "name", "displayName", "description", "spec")}
        view = {**shown, "id": name, "project": project, "updatedAt": "2024-01-01T00:00:00Z"}
        return {"upsertView": {"view": view, "inserted": not given["id"]}}

    def _ArtifactType(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"project": {"artifact": None}}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.artifacts.append({**given["input"], "state": "PENDING"})
        sequence = {"latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": "0", "state": "PENDING", "artifactSequence": sequence}}}

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        file = {"id": "RmlsZQ==", **self._upload(given["name"])}
        return {"createArtifactManifest": {"artifactManifest": {"id": "1", "file": file}}}

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        names = [file["name"] for file in given["input"]["artifactFiles"]]
        more = {"uploadMultipartUrls": None, "artifact": {"id": "0"}}
        edges = [{"node": {"storagePath": f"kept/{name}", **self._upload(name), **more}} for name in names]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.artifacts[-1]["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": "0", "digest": self.artifacts[-1]["digest"]}}}

    def _ArtifactByID(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        kept = self.artifacts[-1]
        project = {"id": "UQ==", "internalId": "1", "name": kept["projectName"], "entity": {"name": kept["entityName"]}}
        named = {"name": kept["artifactCollectionName"], "project": project}
        nothing = dict.fromkeys(("metadata", "historyStep", "commitHash", "updatedAt"))
        known = {
            **nothing,
            "__typename": "Artifact",
            "id": "0",
            "artifactSequence": {"__typename": "ArtifactSequence", **named},
            "versionIndex": 0,
            "artifactType": {"name": kept["artifactTypeName"]},
            "description": kept["description"],
            "ttlDurationSeconds": -1,
            "ttlIsInherited": False,
            "tags": [],
            "state": kept["state"],
            "size": 1,
            "digest": kept["digest"],
            "fileCount": 1,
            "createdAt": "2024-01-01T00:00:00Z",
            "aliases": [],
        }
        return {"artifact": known}

    def _upload(self, name: str) -> dict[str, Any]:
        return {"uploadUrl": self.upload_url(name), "uploadHeaders": []}
