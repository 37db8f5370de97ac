#!/usr/bin/env bash
# Makes or reuses the environment, checks the style and runs every test; arguments go to pytest.
#
#   bash scripts/test.sh
#   bash scripts/test.sh --quick          what one needs every ten minutes: a minute and a half
#   bash scripts/test.sh -k fusion
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$REPOSITORY/scripts/environment.sh"

CHOSEN=()
if [ "${1:-}" = --quick ]; then
  shift
  CHOSEN=(-m quick)
fi

activate_environment "[test]"
cd "$REPOSITORY"
ruff check --quiet .
ruff format --check --quiet . ||
  { echo "error: some files are not formatted; run: ruff format ." >&2; exit 1; }
exec python -m pytest --numprocesses=2 --dist=worksteal ${CHOSEN[@]+"${CHOSEN[@]}"} "$@"
