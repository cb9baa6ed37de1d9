#!/usr/bin/env bash
# run.sh NAME.java ARGS...: runs one of the programs beside it on the classes of Apache Kafka 4.4.0 from Maven Central. They write the
# tables that the tests of this crate read:
#   run.sh TopicHashes.java > topic_hash/hashes.tsv
#   run.sh Assignments.java 700 small 4 > assignor/cases.txt
#   run.sh Patterns.java 2000 1 > topic_regex/patterns.txt
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
jars=${JARS:-${TMPDIR:-/tmp}/monedula-kafka-jars}
for artifact in org.apache.kafka:{kafka-group-coordinator,kafka-group-coordinator-api,kafka-coordinator-common,kafka-server-common,kafka-clients}:4.4.0 \
  com.dynatrace.hash4j:hash4j:0.22.0 com.google.re2j:re2j:1.8 org.slf4j:slf4j-api:1.7.36; do
  IFS=: read -r _ name version <<<"$artifact"
  [ -e "$jars/$name-$version.jar" ] || mvn -B -q dependency:copy -Dartifact="$artifact" -DoutputDirectory="$jars" >&2
done
program=$1; shift
exec java -cp "$jars/*" "$here/$program" "$@"
