"""Deploy, change plans, predict and label from Python; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from homeostat.doors.client import asking, transport
from homeostat.lifecycle.predictions.entities import Failed, LabelReport, LateLabel, Segment
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving import router
from homeostat.lifecycle.serving.entities import (
    Deployment,
    Override,
    Plan,
    PlanChange,
    PlanDocument,
)

Deployed = list[Deployment]
PlanChanges = list[PlanChange]
Segments = list[Segment]
Failures = list[Failed]
Labelled = LateLabel | tuple[str, str | int | float | bool]


class Deployments(asking.Asking):
    """Served names.

    Parameters
    ----------
    speaking
        The transport of the client.
    predict_url
        Address of the prediction server.
    """

    def __init__(
        self,
        speaking: transport.Transport,
        *,
        predict_url: str = "http://127.0.0.1:5001",
    ) -> None:
        self._transport = speaking
        super().__init__(predict_url)

    def deploy(
        self,
        name: str,
        *,
        policy: str | Path,
        version: int | None = None,
        alias: str | None = None,
    ) -> Deployment:
        """Serve a version under a name, alone and to everyone.

        Parameters
        ----------
        name
            Letters, digits, ``.``, ``_``, ``-``.
        policy
            A homeostat.toml: its path, or its text.
        version, alias
            Which version of the policy's model; the newest when neither is given.

        Returns
        -------
        Deployment
            At generation 1.

        Raises
        ------
        NotFoundError
            When there is no such version.
        GateClosedError
            When a gate or an approval is missing.
        ConflictError
            When the name is taken.
        """
        text = policy.read_text(encoding="utf-8") if isinstance(policy, Path) else policy
        body = {"name": name, "policy": text, "version": version, "alias": alias}
        return self._transport.call("POST", "/api/deployments", body=body, answer=Deployment)

    def list(self, *, after: str = "", limit: int = 100) -> Deployed:
        """Return deployments by name, `limit` of them after the name `after`.

        Parameters
        ----------
        after
            Last name of the page before.
        limit
            At most this many.
        """
        query: transport.Query = {"after": after, "limit": limit}
        return self._transport.call("GET", "/api/deployments", query=query, answer=Deployed)

    def get(self, name: str) -> Deployment:
        """Return one deployment; NotFoundError when there is none of that name."""
        return self._transport.call("GET", _path(name), answer=Deployment)

    def plan(self, name: str, *, after: int = 0, wait_s: float = 0.0) -> PlanDocument:
        """Return who answers now.

        Parameters
        ----------
        name
            A deployment.
        after, wait_s
            Waits up to `wait_s` seconds (0 to 55) for a generation later than `after`.

        Returns
        -------
        PlanDocument
            The plan and the versions it names.
        """
        query = {"after": after, "wait_s": wait_s}
        return self._transport.call(
            "GET", _path(name, "plan"), query=query, answer=PlanDocument
        )

    def set_plan(self, name: str, plan: Plan, *, reason: str = "") -> Deployment:
        """Put the next plan in force.

        Parameters
        ----------
        name
            A deployment.
        plan
            Its generation is the present one plus 1.
        reason
            Why, for people.

        Returns
        -------
        Deployment
            With the plan.

        Raises
        ------
        ConflictError
            When the plan changed since it was read.
        GateClosedError
            When a version that is to answer may not.
        """
        body = {"plan": plan, "reason": reason}
        return self._transport.call("PUT", _path(name, "plan"), body=body, answer=Deployment)

    def rollback(
        self, name: str, *, generation: int | None = None, reason: str = "rolled back"
    ) -> Deployment:
        """Put an earlier plan in force again; the one before when `generation` is None.

        Parameters
        ----------
        name
            Of the deployment.
        generation
            Which plan; the one before when None.
        reason
            Why, for the record.

        Returns
        -------
        Deployment
            With its new generation.
        """
        body = {"generation": generation, "reason": reason}
        return self._transport.call(
            "POST", _path(name, "rollback"), body=body, answer=Deployment
        )

    def switch(
        self, name: str, version: int, *, share: float = 1.0, reason: str = "switched"
    ) -> Deployment:
        """Let a version answer everyone, or a share of the keys; `rollback` goes back at once.

        Parameters
        ----------
        name
            A deployment.
        version
            Of its model.
        share
            Above 0 and up to 1; below 1 it is a canary, and the stable arm answers the others.
        reason
            Why, for the record.

        Returns
        -------
        Deployment
            With its new generation.

        Raises
        ------
        NotFoundError
            When there is no such deployment or version.
        GateClosedError
            When the version may not answer.
        """
        plan = plans.switched(self.get(name).plan, version, share=share)
        return self.set_plan(name, plan, reason=reason)

    def set_rules(
        self, name: str, rules: Sequence[str], *, reason: str = "rules"
    ) -> Deployment:
        """Send rows to an arm or a version for what they say; the first rule that fits decides.

        Parameters
        ----------
        name
            A deployment.
        rules
            Such as ``region in north|south and income >= 1000 -> 4``; none takes all back.
        reason
            Why, for the record.

        Returns
        -------
        Deployment
            With its new generation.

        Raises
        ------
        InvalidInputError
            When a rule cannot be read, or no request has such a column.
        GateClosedError
            When a version may not answer.
        """
        plan = plans.ruled(self.get(name).plan, rules)
        return self.set_plan(name, plan, reason=reason)

    def set_override(
        self, name: str, *, allowed: bool, tokens: Sequence[str] = ()
    ) -> Deployment:
        """Say who may name the version that answers a request, by header or path.

        Parameters
        ----------
        name
            A deployment.
        allowed
            Whether anybody may.
        tokens
            Only who shows one of these, as ``Authorization: Bearer``; each at least 128 random
            bits as text. Without any, every caller whom the prediction server lets in.

        Returns
        -------
        Deployment
            With its new generation.

        Raises
        ------
        GateClosedError
            When a version of the plan may not answer.
        """
        before = self.get(name).plan
        digests = tuple(router.token_digest(one) for one in tokens)
        plan = msgspec.structs.replace(
            before,
            generation=before.generation + 1,
            override=Override(digests) if allowed else None,
        )
        return self.set_plan(name, plan, reason="who may name the version")

    def set_policy(self, name: str, policy: str | Path) -> Deployment:
        """Let a deployment live under another policy: the path or text of a homeostat.toml.

        Parameters
        ----------
        name
            Of the deployment.
        policy
            Path or text of a homeostat.toml.

        Returns
        -------
        Deployment
            Under the new policy.
        """
        text = policy.read_text(encoding="utf-8") if isinstance(policy, Path) else policy
        return self._transport.call(
            "PUT", _path(name, "policy"), body={"policy": text}, answer=Deployment
        )

    def plans(self, name: str, *, before: int | None = None) -> PlanChanges:
        """Return the plans a deployment has had, newest first, before a generation.

        Parameters
        ----------
        name
            Of the deployment.
        before
            Generation that ended the page before.
        """
        return self._transport.call(
            "GET", _path(name, "plans"), query={"before": before}, answer=PlanChanges
        )

    def segments(self, name: str, *, before: int | None = None) -> Segments:
        """Return the parts of the log, newest first, before a number.

        Parameters
        ----------
        name
            Of the deployment.
        before
            Last id of the page before.
        """
        return self._transport.call(
            "GET", _path(name, "segments"), query={"before": before}, answer=Segments
        )

    def label(self, name: str, labels: Sequence[Labelled]) -> Segment:
        """Add late labels to the log, through the server.

        Parameters
        ----------
        name
            A deployment.
        labels
            1 to 100,000, as `LateLabel` or (key, label) pairs; unknown keys are kept and
            reported by `label_report`.

        Returns
        -------
        Segment
            The part of the log that holds them; they are safe when this returns.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        given = [
            one if isinstance(one, LateLabel) else LateLabel(key=one[0], label=one[1])
            for one in labels
        ]
        return self._transport.call(
            "POST", _path(name, "labels"), body={"labels": given}, answer=Segment
        )

    def label_report(self, name: str, *, as_of: int | None = None) -> LabelReport:
        """Count how predictions and labels fit together; `as_of` in milliseconds UTC.

        Parameters
        ----------
        name
            Of the deployment.
        as_of
            Milliseconds UTC: only what was known then; all when None.

        Returns
        -------
        LabelReport
            Counts, and what does not fit.
        """
        return self._transport.call(
            "GET", _path(name, "labels"), query={"as_of": as_of}, answer=LabelReport
        )

    def failures(self, name: str, *, generation: int = 0) -> Failures:
        """Return which members could not score rows, under `generation` and later plans.

        Parameters
        ----------
        name
            Of the deployment.
        generation
            Of the plan; all when None.
        """
        return self._transport.call(
            "GET",
            _path(name, "failures"),
            query={"generation": generation},
            answer=Failures,
        )


def _path(name: str, *parts: str) -> str:
    return "/".join(("/api/deployments", transport.part(name), *parts))
