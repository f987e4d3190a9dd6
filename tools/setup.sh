#!/usr/bin/env bash
# Sets up an environment from a hash-locked list: tools/setup.sh run|test for .venv,
# mlflow3|mlflow2 for .venv-mlflow3|2, the stock clients that tests/clients starts, evidently for
# .venv-evidently, which tests/parity asks. Called by the Makefile; safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted="${1:-run}"
lock="requirements/$wanted.lock"
python="${PYTHON:-python3}"
# One at a time: environments are set up side by side, the package manager serves one.
debian() {
  flock /tmp/homeostat-debian.lock sh -c \
    'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$0" >/dev/null' "$1"
}
case "$wanted" in
  run) place=.venv how=(--compile) ;;
  # Few of all those modules are ever imported.
  test) place=.venv how=(--no-compile) ;;
  *) place=".venv-$wanted" how=(--no-compile) ;;
esac

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "homeostat needs Python 3.11 or newer; $("$python" --version) found (set PYTHON=/path/to/python3.11)" >&2
  exit 1
}
# Making a pip takes ten times as long as the rest of an environment; only .venv gets its own.
make() {
  if [ "$place" = .venv ]; then "$python" -m venv "$place"; else "$python" -m venv --without-pip "$place"; fi
}
is_made() {
  if [ "$place" = .venv ]; then test -x .venv/bin/pip; else test -x "$place/bin/python"; fi
}
if ! is_made; then
  if ! make >/tmp/homeostat-venv.$$ 2>&1; then
    # Debian keeps ensurepip in a package of its own.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      debian python3-venv
      rm -rf "$place" && make
    else
      cat /tmp/homeostat-venv.$$ >&2
      echo "python could not make a virtual environment; on Debian or Ubuntu: sudo apt install python3-venv" >&2
      exit 1
    fi
  fi
  rm -f /tmp/homeostat-venv.$$
fi
# The pip of the environment, else the machine's, else one made for it now.
pip() {
  if [ -x "$place/bin/pip" ]; then
    "$place/bin/pip" "$@"
  elif "$python" -m pip --python "$place/bin/python" --version >/dev/null 2>&1; then
    "$python" -m pip --python "$place/bin/python" "$@"
  else
    "$place/bin/python" -m ensurepip >/dev/null && "$place/bin/python" -m pip "$@"
  fi
}
# Prints where uv is: the machine's, else the one of requirements/installer.lock, fetched once.
quick() {
  command -v uv && return
  (
    flock 9
    test -x .venv-uv/bin/uv || pip install -q --disable-pip-version-check --require-hashes \
      --no-deps --no-compile --target .venv-uv -r requirements/installer.lock
  ) 9>/tmp/homeostat-installer.lock >&2 && echo .venv-uv/bin/uv
}
# uv does not look where pip is told of a mirror, of wheels and of certificates.
told() {
  mirror="${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}"
  if [ -n "$mirror" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$mirror}"; fi
  if [ -d "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS="${UV_FIND_LINKS:-$PIP_FIND_LINKS}"; fi
  if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"; fi
}
works() {
  if [ "$place" = .venv ]; then .venv/bin/homeostat --version; else test -x "$place/bin/python"; fi
}
stamp="$place/.installed-$wanted"
if ! { [ -f "$stamp" ] && cmp -s "$lock" "$stamp" && works >/dev/null 2>&1; }; then
  echo "setting up $place from $lock" >&2
  # A lock is whole: nothing is left to resolve. Where uv cannot, pip can, at eight times the CPU.
  told
  uv="$(quick)" && "$uv" pip install -q --python "$place/bin/python" --require-hashes --no-deps \
    "${how[@]}" -r "$lock" ||
    pip install -q --disable-pip-version-check --require-hashes --no-deps "${how[@]}" -r "$lock"
  if [ "$place" = .venv ]; then
    .venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
  fi
  cp "$lock" "$stamp"
fi
if [ "$wanted" = test ] && ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing Debian's chromium for the page tests" >&2
    debian chromium
  else
    echo "the page tests need chromium: sudo apt install chromium" >&2
    exit 1
  fi
fi
