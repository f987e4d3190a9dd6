"""A run keeps the code that its pipeline was loaded from, and what that imports later."""

from __future__ import annotations

from homeostat.lifecycle.pipeline import kept, load

PIPELINE = """
import homeostat as hs
import shared

@hs.step
def fit(rows):
    from deep.inner import late
    return late.twice(rows)

@hs.pipeline
def work(rows):
    return fit(rows)
"""


def write(folder, **texts):
    for name, text in texts.items():
        place = folder / f"{name.replace('__', '/')}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def test_files_that_a_step_imports_when_it_is_called_are_kept(tmp_path):
    write(tmp_path, pipeline=PIPELINE, shared="X = 1", unused="Y = 2")
    write(tmp_path, deep__inner__late="def twice(rows): return rows * 2")
    (tmp_path / "deep" / "__init__.py").write_text("")
    (tmp_path / "deep" / "inner" / "__init__.py").write_text("from . import early")
    write(tmp_path, deep__inner__early="")
    made = load.pipeline("pipeline:work", tmp_path)
    found = [file.path for file in kept.of_project(made.folder)]
    assert (made.target, made.folder) == ("pipeline:work", str(tmp_path.resolve()))
    assert {"pipeline.py", "shared.py", "deep/__init__.py"} <= set(found)
    assert {"deep/inner/__init__.py", "deep/inner/late.py"} <= set(found)
    assert "deep/inner/early.py" in found
    assert "unused.py" not in found


def test_a_project_that_is_mostly_data_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 100)
    write(tmp_path, pipeline=PIPELINE, shared="X = 1")
    made = load.pipeline("pipeline:work", tmp_path)
    assert kept.of_project(made.folder) == ()
    assert kept.of_project("") == ()
