#!/bin/sh
# Starts three nodes of one registry on this machine, for trying out: on ports 5001, 5002 and 5003, with their data in
# ./data/mesh. Ctrl-C stops them in order. Needs Node.js 20.19 or newer and etcd (Debian: apt install etcd-server).
#
#   deploy/mesh/local.sh            starts the three nodes
#   deploy/mesh/local.sh FOLDER     keeps their data there
set -eu
cd "$(dirname "$0")/../.."
data=${1:-data/mesh}
mkdir -p "$data"
[ -d node_modules ] || npm ci
[ -f dist/src/cli.js ] || npm run build

for node in 1 2 3; do
  cat > "$data/node$node.yaml" <<EOF
server: { addr: "127.0.0.1:500$node" }
storage: { path: "$data/node$node" }
mesh:
  enabled: true
  bind: "127.0.0.1:795$((node * 3 - 3))"
  peers: ["127.0.0.1:7950", "127.0.0.1:7953", "127.0.0.1:7956"]
EOF
done

pids=
stop() {
  trap '' INT TERM
  for pid in $pids; do kill -TERM "$pid" 2> /dev/null || true; done
  wait
}
# Ctrl-C reaches the nodes by itself: a second signal would end them at once.
trap 'wait; exit 0' INT
trap 'stop; exit 0' TERM
for node in 1 2 3; do
  node dist/src/cli.js serve --config "$data/node$node.yaml" > "$data/node$node.log" 2>&1 &
  pids="$pids $!"
done
echo "logs: $data/node1.log $data/node2.log $data/node3.log"
for node in 1 2 3; do
  until node dist/src/cli.js health --config "$data/node$node.yaml" > /dev/null 2>&1; do
    for pid in $pids; do
      kill -0 "$pid" 2> /dev/null || { cat "$data"/node?.log; stop; exit 1; }
    done
    sleep 1
  done
  echo "node $node: http://127.0.0.1:500$node"
done
node dist/src/cli.js mesh status --server http://127.0.0.1:5001
wait
