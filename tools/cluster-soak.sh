#!/bin/sh
# cluster-soak on four networks of this machine: the lab and three nodes of NATS on one, and three agents on one each, with
# a server and a third of the readers. Takes root's rights and iproute2; all that it makes is gone afterwards.
#
#   tools/cluster-soak.sh PROGRAM [OPTION…]
#                            PROGRAM is transport-lab; options are those of `transport-lab run`
#   READERS=10000 RATE=10    how many readers, and how many events a second: their product is how many deliveries a second
#   MINUTES=5                for how long
set -eu

lab=$1
shift
case $lab in /*) ;; *) lab=$PWD/$lab ;; esac
readers=${READERS:-10000}
rate=${RATE:-10}
minutes=${MINUTES:-5}
say() { echo "cluster-soak.sh: $*"; }
[ "$(id -u)" = 0 ] || { say "networks of one's own take root's rights: sudo sh tools/cluster-soak.sh …"; exit 1; }
command -v ip >/dev/null || { say "no ip: apt install iproute2"; exit 1; }

# Names of at most fifteen characters, as interfaces have; nobody else's.
base=lab$$
folder=$(mktemp -d "${TMPDIR:-/tmp}/transport-lab-soak-XXXXXX")
net=10.$(($$ / 250 % 250)).$(($$ % 250))
end() {
    status=$?
    trap - EXIT INT TERM HUP
    for at in 0 1 2 3; do ip netns del "$base-$at" 2>/dev/null || true; done
    rm -rf "$folder"
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# None of it is on this machine's own network, whose browsers would take it for a change of theirs.
ip netns add "$base-0"
ip -n "$base-0" link set lo up
ip -n "$base-0" link add bridge type bridge
ip -n "$base-0" link set bridge up
ip -n "$base-0" addr add "$net.1/24" dev bridge
agents=
for at in 1 2 3; do
    ip netns add "$base-$at"
    ip -n "$base-$at" link set lo up
    ip -n "$base-0" link add "to$at" type veth peer name lab netns "$base-$at"
    ip -n "$base-0" link set "to$at" master bridge up
    ip -n "$base-$at" addr add "$net.1$at/24" dev lab
    ip -n "$base-$at" link set lab up
    agent="exec:exec ip netns exec $base-$at $lab agent --stdio --allow-servers --name agent-$at"
    set -- "$@" --agent "$agent" --server-agent "$agent=$net.1$at"
done

say "$readers readers at three agents, $rate events a second for $minutes minutes"
count=$((rate * minutes * 60 * 9 / 10))
ip netns exec "$base-0" "$lab" run cluster-soak "$@" --bind "$net.1" --certs "$folder/certs" --repeats 1 --no-calibration \
    --set "workload.subscribers=$readers" --set "workload.events.rate=$rate/s" --set "workload.events.count=$count" \
    --set "workload.hold=${minutes}min" --set timeout=20min
