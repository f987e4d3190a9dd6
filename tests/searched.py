"""Runs as plain dicts, how they are stored, and what plain Python finds among them.

Shared by the contracts of runs' search.
"""

from __future__ import annotations

import math
import re
import string

import numpy as np

from homeostat.lifecycle.tracking import input_records, records

KEYS = ["a", "b", "rare", "mlflow.x y"]
LONG = "L" * 205
TEXTS = ["", "a", "A", "ab", "aB", "a%b", "a_b", "a*b", "[ab]", "a\\b", "é", "É", "𝄞", "'", '"']
TEXTS += [LONG + "1", LONG + "2", "L" * 199, "L" * 200, "10", "9"]
NUMBERS = [0.0, -1.5, 2.0, 1e300, -1e300, 1.7976931348623157e308]
STATUSES = ["running", "finished", "failed"]


def made_runs(n, seed):
    """Runs as plain dicts, with ties, gaps and every kind of number."""
    chance = np.random.default_rng(seed)

    def one_of(options):
        return options[int(chance.integers(len(options)))]

    found = []
    for _ in range(n):
        metrics = {
            key: one_of([*NUMBERS, math.nan, math.inf, -math.inf])
            for key in KEYS
            if chance.random() < (0.1 if key == "rare" else 0.8)
        }
        texts = [
            {key: one_of(TEXTS) for key in KEYS if chance.random() < 0.7} for _ in range(2)
        ]
        found.append(
            {
                "id": chance.bytes(16).hex(),
                "experiment": one_of([0, 1, 2]),
                "stage": one_of(["active", "active", "active", "deleted"]),
                "name": one_of(TEXTS),
                "status": one_of(STATUSES),
                "user": one_of(["ada", "Ada", ""]),
                "start": one_of([1, 2, 3]),
                "end": one_of([None, 5, 6]),
                "metric": metrics,
                "param": texts[0],
                "tag": texts[1],
                "dataset": [
                    {
                        "name": one_of(["d1", "d2"]),
                        "digest": one_of(["x", "y"]) + str(i),
                        "context": one_of([None, "train", "eval"]),
                    }
                    for i in range(one_of([0, 0, 1, 2]))
                ],
            }
        )
    return found


def store(tx, runs):
    """Write runs as the actions do, many rows at once."""
    rows = [
        {
            **{column.name: "" for column in records.runs.c},
            "project": tx.project,
            "id": run["id"],
            "experiment_id": run["experiment"],
            "name": run["name"],
            "status": run["status"],
            "user": run["user"],
            "lifecycle_stage": run["stage"],
            "started_at": run["start"],
            "ended_at": run["end"],
            "artifact_root": f"run:{run['id']}",
            "wall_s": 0.0,
            "cpu_s": 0.0,
            "max_rss_bytes": 0,
            "deleted_at": None,
        }
        for run in runs
    ]
    tx.execute(records.runs.insert(), rows)
    of = [
        {"project": tx.project, "run_id": r["id"], "experiment_id": r["experiment"]}
        for r in runs
    ]
    points = []
    for row, run in zip(of, runs, strict=True):
        for key, number in run["metric"].items():
            kind = "finite" if math.isfinite(number) else str(number)
            value = number if kind == "finite" else 0.0
            points.append({**row, "key": key, "value": value, "kind": kind, "at": 1, "step": 0})
    tx.execute(records.latest_metrics.insert(), points)
    for table, subject in ((records.params, "param"), (records.tags, "tag")):
        texts = [
            {**row, "key": key, "value": text, "value_head": text[: records.HEAD_LENGTH]}
            for row, run in zip(of, runs, strict=True)
            for key, text in run[subject].items()
        ]
        tx.execute(table.insert(), texts)
    read = [
        {**row, **one, "tags": "{}"}
        for row, run in zip(of, runs, strict=True)
        for one in run["dataset"]
    ]
    tx.execute(input_records.run_datasets.insert(), read)


def like(text, pattern, flags=0):
    words = {"%": ".*", "_": "."}
    made = "".join(words.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(made, text, re.DOTALL | re.ASCII | flags) is not None


def compare(held, one):
    """Plain Python's opinion of one comparison with something that is there."""
    value = one.value
    return {
        "=": lambda: held == value,
        "!=": lambda: held != value,
        "<": lambda: held < value,
        "<=": lambda: held <= value,
        ">": lambda: held > value,
        ">=": lambda: held >= value,
        "IN": lambda: held in value,
        "NOT IN": lambda: held not in value,
        "LIKE": lambda: like(held, value),
        "ILIKE": lambda: like(*(lower(x) for x in (held, value))),
        "IS NOT NULL": lambda: True,
        "IS NULL": lambda: False,
    }[one.comparator]()


def lower(text):
    return text.translate(str.maketrans(string.ascii_uppercase, string.ascii_lowercase))


def attribute(run, key):
    address = f"mlflow-artifacts:/{run['experiment']}/{run['id']}/artifacts"
    return {
        "run_id": run["id"],
        "run_name": run["name"],
        "status": run["status"].upper(),
        "user_id": run["user"],
        "artifact_uri": address,
        "start_time": run["start"],
        "end_time": run["end"],
    }[key]


def fulfils(run, one):
    if one.subject == "attribute":
        held = attribute(run, one.key)
        return held is not None and compare(held, one)
    if one.subject == "dataset":
        held = [read[one.key] for read in run["dataset"]]
        return any(compare(text, one) for text in held if text is not None)
    if one.key not in run[one.subject]:
        return one.comparator == "IS NULL"
    return compare(run[one.subject][one.key], one)


def ranked(run, order):
    """A sort key: values, then NaN, then missing, whatever the direction."""
    if order.subject == "attribute":
        value = attribute(run, order.key)
    else:
        value = run[order.subject].get(order.key)
    if value is None:
        return (2, 0)
    if isinstance(value, float) and math.isnan(value):
        return (1, 0)
    return (0, value)


def expected(runs, *, experiments, stages, conditions, orders):
    found = [
        run
        for run in runs
        if run["experiment"] in experiments
        and run["stage"] in stages
        and all(fulfils(run, one) for one in conditions)
    ]
    found.sort(key=lambda run: (-run["start"], run["id"]))
    for order in reversed(orders):
        found.sort(key=lambda run: ranked(run, order)[1], reverse=not order.ascending) if all(
            ranked(run, order)[0] == 0 for run in found
        ) else _sorted_with_gaps(found, order)
    return [run["id"] for run in found]


def _sorted_with_gaps(found, order):
    ranks = [[run for run in found if ranked(run, order)[0] == rank] for rank in range(3)]
    ranks[0].sort(key=lambda run: ranked(run, order)[1], reverse=not order.ascending)
    found[:] = [run for rank in ranks for run in rank]
