# Sourced by the scripts beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The stand-ins for images that a machine without a registry cannot pull; .ci/standins builds them.
export MOSQUITTO_IMAGE=${MOSQUITTO_IMAGE:-standin/mosquitto:2}
export GOLANG_IMAGE=${GOLANG_IMAGE:-standin/golang:1.26}
# Nor can testcontainers' own helper be pulled; the tests remove their containers themselves.
export TESTCONTAINERS_RYUK_DISABLED=true

step() { printf '\n==> %s (%d s)\n' "$*" "$SECONDS"; }

fail() {
  echo "FAIL: $*" >&2
  return 1
}

# eventually SECONDS COMMAND... repeats the command until it succeeds; its last words tell why it did not.
eventually() {
  local deadline=$((SECONDS + $1)) said
  shift
  until said=$("$@" 2>&1); do
    ((SECONDS < deadline)) || fail "not within time: $*: $said" || return
    sleep 0.1
  done
}

# documented LINE fails unless README.md shows that command.
documented() { grep -qxF -- "$1" README.md || fail "not in README.md: $1"; }

simulator=http://127.0.0.1:3000

# try_simulator PORT: what a call of the simulator's REST API publishes is seen at the broker on that
# port, and what fails and then succeeds there is an alert that opens and closes.
try_simulator() {
  local port=$1 guid seen listener
  eventually 120 curl -fsS "$simulator/api/v1/devices"
  guid=$(curl -fsS "$simulator/api/v1/devices" | jq -er 'map(select(.connectionStatus))[0].guid')
  seen=$(mktemp)
  mosquitto_sub -W 60 -V 5 -h 127.0.0.1 -p "$port" -t 'mps/#' -F %p >"$seen" &
  listener=$!
  eventually 30 call_is_seen "$guid" "$seen"
  kill "$listener"
  rm "$seen"

  eventually 30 event_makes_alert "$port" fail PENDING
  eventually 30 event_makes_alert "$port" success RESOLVED
}

call_is_seen() {
  curl -fsS "$simulator/api/v1/amt/power/state/$1"
  grep -E "^\{\"type\":\"success\",\"message\":\"Power State received\",\"methods\":\[\"AMT_PowerState\"\],\"guid\":\"$1\",\"timestamp\":[0-9]{13}\}$" "$2"
}

event_makes_alert() {
  local port=$1 type=$2 status=$3 guid=11111111-2222-3333-4444-555555555555
  mosquitto_pub -V 5 -h 127.0.0.1 -p "$port" -t mps/events -q 1 \
    -m "{\"type\":\"$type\",\"message\":\"Tried by .ci\",\"methods\":[\"AMT_Unprovision\"],\"guid\":\"$guid\",\"timestamp\":$(date +%s%3N)}"
  curl -fsS "$simulator/sim/alerts" |
    jq -e --arg guid "$guid" --arg status "$status" 'map(select(.alertKey | contains($guid)))[-1].status == $status'
}
