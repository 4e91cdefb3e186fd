#!/bin/bash
# Checks every shell script of the repository with shellcheck, every Python file with ruff (mistakes and format), the
# types of the torch engine's package and its tests with mypy, that every target declares what it imports, and the
# manifests of Kubernetes and units of systemd in cluster/.
# Gets these tools first where they are missing, and fails after all of them have said what they found.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/lint-tools.sh

# Some have no .sh in their names: the first line tells. What git ignores is not ours.
scripts=()
while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    first=
    IFS= read -r -n 64 first <"$file" || true
    [[ $file == *.sh || $first =~ ^'#!'.*[/\ ](ba|da)?sh(\ |$) ]] && scripts+=("$file")
done < <(git ls-files -z --cached --others --exclude-standard)
[ ${#scripts[@]} -gt 0 ] || {
    echo "error: git lists no shell scripts here; this needs a clone of the repository" >&2
    exit 1
}

status=0
if shellcheck "${scripts[@]}"; then echo "${#scripts[@]} shell scripts pass shellcheck"; else status=1; fi
scripts/imports.py || status=1
.venv-lint/bin/ruff check || status=1
.venv-lint/bin/ruff format --check || status=1
(cd Sources/TorchEngine/Python && "$OLDPWD/.venv-lint/bin/mypy" --cache-dir "$OLDPWD/.venv-lint/types") || status=1
.venv-lint/bin/python cluster/kubernetes/check.py || status=1
cluster/systemd/verify.sh || status=1
exit $status
