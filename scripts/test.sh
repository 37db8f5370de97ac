#!/usr/bin/env bash
# Makes or reuses the environment and runs every test; arguments go to pytest.
#
#   bash scripts/test.sh
#   bash scripts/test.sh -k fusion
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$REPOSITORY/scripts/environment.sh"
activate_environment "[test]"
cd "$REPOSITORY"
exec python -m pytest --numprocesses=2 --dist=worksteal "$@"
