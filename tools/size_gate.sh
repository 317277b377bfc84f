#!/bin/sh
# size_gate.sh - one noun a file: code past 600 lines fails, so that it is split by question.
# Data (tables in .def, golden files, lock files) may be any length.
set -eu
limit=600
git ls-files --cached --others --exclude-standard -- '*.c' '*.h' '*.ts' '*.tsx' '*.py' '*.sh' dev |
    while read -r f; do
        [ -f "$f" ] || continue
        n=$(wc -l <"$f")
        [ "$n" -le $limit ] || echo "$f: $n lines, the limit is $limit; split it by question"
    done >"${TMPDIR:-/tmp}/size_gate.$$"
status=0
if [ -s "${TMPDIR:-/tmp}/size_gate.$$" ]; then
    cat "${TMPDIR:-/tmp}/size_gate.$$" >&2
    status=1
fi
rm -f "${TMPDIR:-/tmp}/size_gate.$$"
exit $status
