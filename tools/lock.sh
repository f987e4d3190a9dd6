#!/usr/bin/env bash
# Renews requirements/*.lock from pyproject.toml: versions and hashes, no host names. Called by `make lock`.
set -euo pipefail
cd "$(dirname "$0")/.."
uv lock --quiet
flags=(--quiet --frozen --no-emit-project --no-header --no-annotate --format requirements-txt --no-default-groups)
uv export "${flags[@]}" --group build --output-file requirements/run.lock >/dev/null
uv export "${flags[@]}" --group build --group test --group check --output-file requirements/test.lock >/dev/null
