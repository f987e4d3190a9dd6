"""What a judged window of predictions means: quarantine a broken feed, look into a shift.

Called by `decide`. Nothing here ever fits a model or moves a weight.
"""

from __future__ import annotations

from msgspec import structs

from homeostat.lifecycle.loop import entities

BROKEN = ("feed", "schema")
"""Causes that make rows unfit to learn from."""
DRIFT = ("covariate-drift", "prediction-drift")

Verdicts = tuple[entities.Verdict, ...]


def judge(
    state: entities.LoopState, event: entities.WindowJudged
) -> tuple[entities.LoopState, Verdicts]:
    """Decide quarantine, release, investigate or none for one window.

    Parameters
    ----------
    state
        What the loop knew before.
    event
        Findings, causes and broken rows of the window.

    Returns
    -------
    tuple
        The state after the window and one verdict or more.
    """
    broken = tuple(cause for cause in event.causes if cause.kind in BROKEN)
    if event.broken and broken:
        return _quarantine(state, event, broken)
    if state.broken_columns:
        if broken:
            return state, (_none(event, "the feed is still broken"),)
        return _release(state, event)
    return _look_at_shift(state, event)


def _quarantine(
    state: entities.LoopState,
    event: entities.WindowJudged,
    broken: tuple[entities.SeenCause, ...],
) -> tuple[entities.LoopState, Verdicts]:
    columns = tuple(cause.column or "" for cause in broken)
    new = tuple(column for column in columns if column not in state.broken_columns)
    after = structs.replace(
        state,
        quarantined=merged((*state.quarantined, *event.broken)),
        broken_columns=state.broken_columns + new,
    )
    keep_out = entities.KeepOut(rows=event.broken)
    n_rows = sum(end - first for first, end in event.broken)
    evidence: entities.Evidence = {
        "first_row": event.broken[0][0],
        "end_row": event.broken[-1][1],
        "n_rows": n_rows,
        "column": broken[0].column,
        "factor": broken[0].factor,
        "cause": broken[0].sentence,
    }
    if not new:
        sentence = f"{n_rows} more rows of the broken feed are kept out"
        verdict = entities.Verdict(
            kind="none", sentence=sentence, evidence=evidence, acts=(keep_out,)
        )
        return after, (verdict,)
    alerts = tuple(
        entities.OpenAlert(alert="feed", cause=cause.kind, column=cause.column)
        for cause in broken
        if (cause.column or "") in new
    )
    where = ", ".join(column for column in new if column) or "the rows"
    sentence = (
        f"{where}: the feed is broken, {n_rows} rows are kept out of every block and "
        f"training set; nothing is retrained"
    )
    verdict = entities.Verdict(
        kind="quarantine", sentence=sentence, evidence=evidence, acts=(keep_out, *alerts)
    )
    return after, (verdict,)


def _release(
    state: entities.LoopState, event: entities.WindowJudged
) -> tuple[entities.LoopState, Verdicts]:
    acts = tuple(
        entities.ResolveAlert(alert="feed", column=column or None)
        for column in state.broken_columns
    )
    where = ", ".join(column for column in state.broken_columns if column) or "the feed"
    verdict = entities.Verdict(
        kind="release",
        sentence=f"{where}: clean again since row {event.first_row}; its rows count again",
        evidence={"first_row": event.first_row, "end_row": event.end_row},
        acts=acts,
    )
    return structs.replace(state, broken_columns=()), (verdict,)


def _look_at_shift(
    state: entities.LoopState, event: entities.WindowJudged
) -> tuple[entities.LoopState, Verdicts]:
    drifting = [column or "(prediction)" for kind, column in event.findings if kind in DRIFT]
    if not drifting:
        return _shift_is_over(state, event)
    watched = {column for item in state.investigations for column in item.columns}
    new = tuple(dict.fromkeys(column for column in drifting if column not in watched))
    if not new:
        return state, (_none(event, "a shift that is known goes on"),)
    investigation = entities.Investigation(columns=new, first_row=event.first_row)
    after = structs.replace(state, investigations=(*state.investigations, investigation))
    cause = event.causes[0].kind if event.causes else "covariate-shift"
    kind = next(kind for kind, column in event.findings if (column or "(prediction)") == new[0])
    column = None if new[0] == "(prediction)" else new[0]
    verdict = entities.Verdict(
        kind="investigate",
        sentence=f"{', '.join(new)} moved; labels will tell whether that does harm",
        evidence={
            "first_row": event.first_row,
            "end_row": event.end_row,
            "columns": ", ".join(new),
            "cause": event.causes[0].sentence if event.causes else "",
        },
        acts=(entities.OpenAlert(alert=kind, cause=cause, column=column),),
    )
    return after, (verdict,)


def _shift_is_over(
    state: entities.LoopState, event: entities.WindowJudged
) -> tuple[entities.LoopState, Verdicts]:
    if not state.investigations:
        return state, (_none(event, "nothing unusual"),)
    acts = tuple(
        entities.ResolveAlert(
            alert="prediction-drift" if column == "(prediction)" else "covariate-drift",
            column=None if column == "(prediction)" else column,
        )
        for item in state.investigations
        for column in item.columns
    )
    verdict = entities.Verdict(
        kind="none",
        sentence="what had moved is back where it was",
        evidence={"first_row": event.first_row, "end_row": event.end_row},
        acts=acts,
    )
    return structs.replace(state, investigations=()), (verdict,)


def merged(ranges: tuple[entities.RowRange, ...]) -> tuple[entities.RowRange, ...]:
    """Join row ranges that touch or overlap; in order of their first row."""
    found: list[entities.RowRange] = []
    for first, end in sorted(ranges):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return tuple(found)


def _none(event: entities.WindowJudged, sentence: str) -> entities.Verdict:
    return entities.Verdict(
        kind="none",
        sentence=sentence,
        evidence={"first_row": event.first_row, "end_row": event.end_row},
    )
