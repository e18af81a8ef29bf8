#!/bin/sh
# Stands for the real program. Writes its arguments, each with a NUL behind it,
# its PATH and its standard input into files, one set for each call; then does
# what STAND_IN says.
record="$RECORD/${0##*/}"
echo >> "$record.calls"
n=$(wc -l < "$record.calls" | tr -d ' ')
: > "$record.$n.argv"
for arg in "$@"; do printf '%s\0' "$arg" >> "$record.$n.argv"; done
printf '%s' "$PATH" > "$record.$n.path"
case ${0##*/} in multiclaude) cat > "$record.$n.stdin"; eval "$STAND_IN" ;; esac
