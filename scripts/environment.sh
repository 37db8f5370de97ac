# Makes or reuses a virtual environment; sourced by quickstart.sh and test.sh.
#
# The Python is $PYTHON, or the first of python3.11, python3, python on the PATH that can make environments; setup.py picks
# the TensorFlow stack that goes with it. The environment lies in .venv-MAJOR.MINOR beside setup.py, or in $VENV.

usable_python() {
  "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3 python; do
    if [ -n "$candidate" ] && usable_python "$candidate"; then
      command -v "$candidate"
      return
    fi
    if [ -n "${PYTHON:-}" ]; then break; fi
  done
  echo "error: ${PYTHON:-python3} is missing or older than Python 3.9; set PYTHON to a newer one." >&2
  return 1
}

# activate_environment EXTRAS: environment with this checkout and the given extras of setup.py installed.
activate_environment() {
  local python version stamp
  python=$(find_python) || exit 1
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  VENV=${VENV:-$REPOSITORY/.venv-$version}
  if [ ! -x "$VENV/bin/python" ]; then
    echo "making the environment $VENV with Python $version"
    "$python" -m venv "$VENV"
  fi
  # Installed already for this very setup.py and these extras? Then nothing is downloaded again.
  stamp=$(cat "$REPOSITORY/setup.py" - <<<"$1" | cksum)
  if [ "$(cat "$VENV/.installed" 2>/dev/null)" != "$stamp" ]; then
    echo "installing the packages (a few minutes the first time)"
    "$VENV/bin/python" -m pip install --quiet --upgrade pip
    "$VENV/bin/python" -m pip install --quiet --editable "$REPOSITORY$1"
    echo "$stamp" >"$VENV/.installed"
  fi
  # shellcheck disable=SC1091
  source "$VENV/bin/activate"
}
