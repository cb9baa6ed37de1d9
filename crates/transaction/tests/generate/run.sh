#!/usr/bin/env bash
# run.sh NAME.java ARGS...: runs one of the programs beside it on the classes of Apache Kafka 4.4.0, whose jars (those of a broker) are in
# the directory JARS. They write the tables that the tests of this crate read:
#   run.sh Lives.java 45 120 1 > lives/lives.txt
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1; shift
exec java -Xmx400m -Dlog4j2.level=OFF -cp "${JARS:?}/*" "$here/$program" "$@"
