"""The nouns of the registry: models, versions, their files, aliases and approvals."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from homeostat.lifecycle.data.entities import Schema

Tier = Literal["low", "medium", "high"]
Status = Literal["registered", "approved"]
Stage = Literal["None", "Staging", "Production", "Archived"]
Task = Literal["binary", "multiclass", "regression"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
# No name may pass for a folder above (`.`, `..`) or for a version (`credit@3`).
ModelName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=256,
        pattern=r"^(?!\.{1,2}\Z)(?!.*@[0-9]+\Z)(?!\s*\Z)[^/:\x00-\x1f\x7f-\x9f]+\Z",
    ),
]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
FilePath = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\Z")
]


ArtifactPath = Annotated[str, msgspec.Meta(min_length=1, max_length=1500)]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A name under which versions are registered.

    Attributes
    ----------
    tier
        How much review a version needs before it answers.
    latest
        Highest number given so far; numbers are never used again.
    updated_at
        When its name, description, versions or stages last changed.
    description
        For people; None where nobody gave one.
    """

    name: str
    owner: str
    tier: Tier
    latest: int
    created_at: int
    created_by: str
    updated_at: int = 0
    description: str | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a version; its bytes are a blob of the version's owner."""

    path: ArtifactPath
    digest: Digest
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model; what it is made of never changes, what is said of it may.

    Attributes
    ----------
    digest
        BLAKE3 over paths, digests and sizes of all files; empty where there are none.
    flavour
        ``sklearn``, or ``mlflow`` for one that MLflow's client registered.
    schema
        Of the features it takes; without columns where that is not known yet.
    baseline
        Digest of the monitoring baseline, a blob of the model; empty when there is none.
    report_id
        Of the gate report that let it in; empty when no gate was judged.
    trained_by, registered_by
        Neither may approve it where the tier is ``high``.
    by_system
        Whether a part of the system registered it, inside the envelope of the policy.
    trained_rows
        First row and row after the last of its training data; None when not known.
    purpose
        Why it was fitted: ``initial``, ``since-change``, ``refresh`` and so on.
    snapshots
        References of the snapshots it was trained on.
    source
        Address that MLflow's client registered it from, such as ``runs:/<id>/model``; empty
        where the files were stored for the version itself.
    location
        Where its files lie for such a client; `source` without detours.
    model_id
        Logged model it was made of, or empty.
    run_link
        Address of a run on another server, as the client gave it.
    sealed_by
        Owner of its blobs where that is not ``model:<name>``.
    first_name
        Name of the model when it was registered, where that was another one.
    stage, description, updated_at
        Said of it since; they change.
    """

    model: str
    number: int
    digest: str
    flavour: str
    files: tuple[File, ...]
    schema: Schema
    baseline: str
    run_id: str
    report_id: str
    trained_by: str
    registered_by: str
    by_system: bool
    trained_rows: tuple[int, int] | None
    purpose: str
    snapshots: tuple[str, ...]
    status: Status
    created_at: int
    source: str = ""
    location: str = ""
    model_id: str = ""
    run_link: str = ""
    sealed_by: str = ""
    first_name: str = ""
    stage: Stage = "None"
    description: str = ""
    updated_at: int = 0

    @property
    def reference(self) -> str:
        """How events, runs and lineage name it."""
        return f"model:{self.model}@{self.number}"

    @property
    def owner(self) -> str:
        """Whose key seals its files."""
        return self.sealed_by or f"model:{self.model}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name its model had, as far as it matters for what was said of it then."""
        return (self.model, self.first_name) if self.first_name else (self.model,)

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size_bytes for file in self.files)


class AliasChange(msgspec.Struct, frozen=True, kw_only=True):
    """One move of an alias; the newest says where it stands.

    Attributes
    ----------
    place
        Counts the moves of this alias from 1.
    number
        Version it points to since `at`; None when it was taken away.
    """

    model: str
    alias: str
    place: int
    number: int | None
    at: int
    actor: str
    reason: str


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One person's word that a version may answer."""

    model: str
    number: int
    actor: str
    at: int
    note: str


class ColumnReference(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the training rows.

    Attributes
    ----------
    quantiles
        Of a column with an order, evenly spaced from its minimum to its maximum; milliseconds
        UTC for a timestamp.
    shares
        Of the rows, by value, of a category or boolean; most frequent first.
    missing
        Share of rows without a value.
    """

    quantiles: tuple[float, ...] = ()
    shares: dict[str, float] = {}
    missing: float = 0.0


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What explanations compare a row with.

    Attributes
    ----------
    n_rows
        Training rows it was made of.
    columns
        By name.
    means
        Of what a linear model is given behind the other steps of its pipeline; else empty.
    """

    n_rows: int
    columns: dict[str, ColumnReference]
    means: tuple[float, ...] = ()


class Twin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The same model in ONNX, which answers in its place; or why there is none.

    Attributes
    ----------
    file
        Its path; empty where the original answers.
    data
        Its bytes, where the files of the version were there before it: those of an adopted one
        stay as they are.
    rows, gap
        On how many rows the two were compared, and the largest difference of two scores.
    refused
        Why there is none, in a sentence without its full stop; empty for a version that is
        older than twins.
    """

    file: str = ""
    data: bytes = b""
    rows: int = 0
    gap: float = 0.0
    refused: str = ""

    @property
    def sentence(self) -> str:
        """What answers for the version, for people.

        Examples
        --------
        >>> Twin(file="model.onnx", rows=2320, gap=3.3e-16).sentence
        'ONNX twin, verified on 2,320 rows, largest difference 3.3e-16'
        >>> Twin(refused="GaussianNB has no counterpart in ONNX here").sentence
        'the original: GaussianNB has no counterpart in ONNX here'
        """
        if self.file:
            return (
                f"ONNX twin, verified on {self.rows:,} rows, largest difference {self.gap:.2g}"
            )
        return f"the original: {self.refused}" if self.refused else "the original"


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What serving needs to know of a model beside its file.

    Attributes
    ----------
    format
        Of this description; 1.
    schema
        Of the features, in the order the estimator was fitted.
    target
        What it predicts; may be empty.
    classes
        Labels in the estimator's order, as text; none for a regression.
    positive
        Place of the positive class in `classes`; of no meaning but for the task ``binary``.
    by_name
        Whether the estimator was fitted on a table with column names.
    example, scores
        Some rows and the scores they must get wherever the model is loaded; of several
        classes one for each.
    trusted
        Types in the file that skops does not know itself; all are in `trust.ALLOWED`.
    packages
        Versions it was made with.
    loader, file
        How the model's file is read, and its path; see `mlmodel.Loader`.
    reference
        What its training rows looked like; None for a version of before this was kept.
    task
        What a score is: the probability of the positive class (``binary``, also where there
        are more classes and one is meant), one probability for each class (``multiclass``), or
        the number itself (``regression``).
    deviation
        Of a regression: standard deviation of the target in its training rows, by which
        errors are measured where losses must be bounded.
    """

    format: int
    schema: Schema
    target: str
    classes: tuple[str, ...]
    positive: int
    by_name: bool
    example: dict[str, list[Any]]
    scores: tuple[float | tuple[float, ...], ...]
    trusted: tuple[str, ...]
    packages: dict[str, str]
    loader: str = "skops"
    file: str = "model.skops"
    twin: Twin = Twin()
    reference: Reference | None = None
    task: Task = "binary"
    deviation: float = 0.0
