#!/usr/bin/env bash
# Renews requirements/*.lock from pyproject.toml and requirements/*.in: versions and hashes, no host names. Called by `make lock`.
set -euo pipefail
cd "$(dirname "$0")/.."
uv lock --quiet
flags=(--quiet --frozen --no-emit-project --no-header --no-annotate --format requirements-txt --no-default-groups)
uv export "${flags[@]}" --group build --output-file requirements/run.lock >/dev/null
uv export "${flags[@]}" --group build --group test --group check --output-file requirements/test.lock >/dev/null
for list in requirements/*.in; do
  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --no-emit-index-url --output-file "${list%.in}.lock" "$list" >/dev/null
done
