"""A project folder whose pipeline is written by the test, and a cache."""

from __future__ import annotations

import textwrap

import pytest

from homeostat.lifecycle.pipeline import cache, drive, load

HEAD = "import homeostat as hs\n"


class Project:
    """A user's folder."""

    def __init__(self, folder, kept):
        self.folder = folder
        self.cache = kept

    def write(self, text, *, name="pipeline"):
        (self.folder / f"{name}.py").write_text(HEAD + textwrap.dedent(text))

    def load(self, name="main"):
        return load.pipeline(f"pipeline:{name}", self.folder)

    def run(self, *, inputs=None, parameters=None, **options):
        return drive.run(
            self.load(),
            inputs=inputs or {},
            parameters=parameters or {},
            cache=self.cache,
            **options,
        )


@pytest.fixture
def kept(tmp_path):
    made = cache.Cache(tmp_path / "cache")
    yield made
    made.close()


@pytest.fixture
def project(tmp_path, kept):
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, kept)
