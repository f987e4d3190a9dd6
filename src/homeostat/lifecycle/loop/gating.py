"""Exams and gates: a candidate's first whole unseen block decides whether it becomes a version.

Called by `duties` (challengers, on logged rows) and for first models (on held-out rows).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.evaluation import entities as evaluated
from homeostat.lifecycle.evaluation import exam as exams
from homeostat.lifecycle.evaluation import gates, tasks
from homeostat.lifecycle.loop import aims
from homeostat.lifecycle.loop.candidates import Packed
from homeostat.lifecycle.monitoring import slicing
from homeostat.lifecycle.policy import slices
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adoptions, approvals
from homeostat.lifecycle.registry.entities import Task, Version


class Examined(msgspec.Struct, frozen=True):
    """What was seen on the exam's rows, and what the gates say of it."""

    exam: evaluated.Exam
    judged: evaluated.Judged

    @property
    def passed(self) -> bool:
        """Whether nothing fails."""
        return self.judged.verdict != "fail"


def examine(
    packed: Packed,
    policy: Policy,
    *,
    truth: NDArray[Any],
    scores: NDArray[np.float64],
    champion: NDArray[np.float64] | None,
    protected: Mapping[str, Sequence[str]],
    rows: str,
    aim: aims.Aim = aims.TWO,
    table: pl.DataFrame | None = None,
) -> Examined:
    """Judge a candidate on rows it has not seen.

    Parameters
    ----------
    packed
        The candidate; its latency and size are judged too.
    policy
        Its gates.
    truth, scores, champion
        Outcomes as `aims.truth` gives them, what the candidate says, and what was served on
        the same rows; None where nothing is served yet.
    protected
        Name to n categories.
    rows
        Which rows these are, for people.
    aim
        What is foretold.
    table
        The rows with plain names, for the policy's slices.

    Returns
    -------
    Examined
        Pure: to be saved by `save`.
    """
    found = sit(
        policy,
        truth=truth,
        scores=scores,
        champion=champion,
        protected=protected,
        rows=rows,
        task=aim.task,
        table=table,
    )
    measured = exams.measured(
        found, latency_p99_ms=packed.latency_p99_ms, size_bytes=packed.size_bytes
    )
    return Examined(measured, gates.judge(measured, policy.gates))


def sit(
    policy: Policy,
    *,
    truth: NDArray[Any],
    scores: NDArray[np.float64],
    champion: NDArray[np.float64] | None,
    protected: Mapping[str, Sequence[str]],
    rows: str,
    task: Task,
    table: pl.DataFrame | None = None,
) -> evaluated.Exam:
    """Return the exam that a policy's gates look at; a backtest sits the same one.

    Parameters
    ----------
    policy
        Its gates name the metric and what each slice is held against.
    truth, scores, champion, protected, rows, table
        As for `examine`.
    task
        What is foretold.
    """
    named = {} if table is None else sliced(policy, table)
    if task == "binary":
        return exams.sit(
            truth,
            scores,
            rows=rows,
            champion=champion,
            protected=protected,
            metric=_of_two(policy.gates.metric),
            slice_needed=policy.gates.worst_slice_at_least,
            favourable=policy.model.favourable,
            named=named,
        )
    return tasks.sit(
        task,
        truth,
        scores,
        rows=rows,
        champion=champion,
        protected=protected,
        metric=policy.gates.metric,
        slice_needed=policy.gates.worst_slice_at_least,
        named=named,
    )


def protected(policy: Policy, table: pl.DataFrame) -> dict[str, list[str]]:
    """Return the protected columns of a table with plain names, as far as it has them."""
    return {
        column: table[column].cast(pl.String).fill_null("missing").to_list()
        for column in policy.data.protected
        if column in table.columns
    }


def sliced(policy: Policy, table: pl.DataFrame) -> dict[str, list[bool]]:
    """Return which rows are in each slice of a policy; slices of other columns are left out.

    Parameters
    ----------
    policy
        Names slices.
    table
        With plain names.
    """
    found: dict[str, list[bool]] = {}
    for name, text in policy.slices.items():
        with contextlib.suppress(errors.InvalidInputError):
            found[name] = slicing.inside(table, slices.parse(text)).to_list()
    return found


def _of_two(metric: str) -> evaluated.Metric:
    """Return the metric of two classes; their macro F1 is none that is kept here."""
    if metric not in evaluated.METRICS:
        raise errors.InvalidInputError(
            f"[gates] metric {metric!r} is for three classes or more; the model has two",
            hint=f"take one of {', '.join(evaluated.METRICS)}",
        )
    return metric


def save(
    tx: Transaction,
    actor: access.Actor,
    examined: Examined,
    *,
    packed: Packed,
    policy: Policy,
    champion: str = "",
) -> evaluated.GateReport:
    """Date, sign and keep the report on a candidate."""
    return evaluation.save_report(
        tx,
        actor,
        policy.model.name,
        candidate=packed.digest,
        exam=examined.exam,
        judged=examined.judged,
        policy_digest=policies.digest(policy),
        champion=champion,
        measured_by="system",
    )


def register(
    tx: Transaction,
    actor: access.Actor,
    packed: Packed,
    *,
    policy: Policy,
    report: evaluated.GateReport,
    trained_rows: tuple[int, int] | None,
    purpose: str,
) -> Version:
    """Make a candidate that passed its gates a version; what code it holds is trusted."""
    version = registry.register_version(
        tx,
        actor,
        policy.model.name,
        files=packed.files,
        schema=packed.schema,
        baseline=packed.baseline,
        run_id=packed.run_id,
        report_id=report.id,
        trained_rows=trained_rows,
        purpose=purpose,
        snapshots=(packed.snapshot,),
        tier=policy.model.tier,
    )
    adoptions.trust_own(tx, access.system("loop"), version)
    return version


def needs_approval(tx: Transaction, version: Version, policy: Policy) -> bool:
    """Say whether a person must let the version in before it answers."""
    try:
        approvals.may_serve(tx, version, policy)
    except errors.GateClosedError:
        return True
    return False
