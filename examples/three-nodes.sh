#!/usr/bin/env bash
# A cluster of three combined nodes on this machine, for trying things; Ctrl-C stops it.
#
#   examples/three-nodes.sh [DIRECTORY]     default: ./three-nodes; it keeps its data for the next start
#
# MONEDULA names the binary (default: the one on the PATH, or target/release/monedula), PORT the first of six ports (default
# 19092: nodes listen to clients on 19092, 19094 and 19096, and to controllers on the ports after those).
set -euo pipefail

directory=${1:-three-nodes}
port=${PORT:-19092}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
monedula=${MONEDULA:-$(command -v monedula || echo "$here/target/release/monedula")}
[ -x "$monedula" ] || { echo "three-nodes: no monedula; build it (cargo build --release) or set MONEDULA" >&2; exit 1; }

voters="" bootstrap="" pids=()
for id in 1 2 3; do
  client=$((port + 2 * (id - 1)))
  voters+="${voters:+,}$id@127.0.0.1:$((client + 1))"
  bootstrap+="${bootstrap:+,}127.0.0.1:$client"
done

stop() {
  trap - EXIT INT TERM
  # All at once: a last node alone has no majority that would let it go.
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$directory"
cluster="$directory/cluster.id"
[ -e "$cluster" ] || "$monedula" storage random-uuid > "$cluster"

for id in 1 2 3; do
  client=$((port + 2 * (id - 1)))
  node="$directory/node-$id"
  mkdir -p "$node"
  cat > "$node/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$client,CONTROLLER://127.0.0.1:$((client + 1))
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$node/data
offsets.topic.replication.factor=3
default.replication.factor=3
min.insync.replicas=2
num.partitions=3
PROPERTIES
  "$monedula" format --cluster-id "$(cat "$cluster")" --config "$node/server.properties" --ignore-formatted > "$node/format.log"
  "$monedula" start "$node/server.properties" > "$node/ready" 2>> "$node/log" &
  pids+=($!)
done

for id in 1 2 3; do
  node="$directory/node-$id"
  for _ in $(seq 300); do
    grep -q '^monedula ready' "$node/ready" && break
    kill -0 "${pids[$((id - 1))]}" 2>/dev/null || { echo "three-nodes: node $id ended; see $node/log" >&2; tail -n 5 "$node/log" >&2; exit 1; }
    sleep 0.1
  done
  grep -q '^monedula ready' "$node/ready" || { echo "three-nodes: node $id is not ready after 30 s; see $node/log" >&2; exit 1; }
done

echo "bootstrap servers: $bootstrap"
echo "nodes and logs:    $directory/node-{1,2,3}/ (server.properties, log, data)"
echo "try:               $monedula metadata-quorum --bootstrap-server $bootstrap describe --status"
echo "Ctrl-C stops all three."
wait -n
echo "three-nodes: a node ended; see $directory/node-*/log" >&2
exit 1
