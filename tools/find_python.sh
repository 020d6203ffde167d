#!/bin/sh
# Prints a Python that is new enough; the one that PYTHON names, if it names one.
# A shim that is there but cannot run is passed over.

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if new_enough "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done

if [ -n "${PYTHON:-}" ]; then
    echo "PYTHON=$PYTHON cannot be run, or is older than 3.11." >&2
else
    echo "No Python 3.11 or later was found: install one, or name it: make PYTHON=/path/to/python3." >&2
fi
exit 1
