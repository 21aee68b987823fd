#!/usr/bin/env bash
# Profanity (C, a program for terminals): both log in by SCRAM-SHA-1, as people do who type into it. They ask for each
# other's presence, agree, chat; one blocks the other for a while. Each has a terminal of tmux. What the first one's shows
# is printed.
#
# Run by `tests/clients/run`. Profanity must be told to do without TLS.
# apt: profanity-light tmux

set -euo pipefail
port=$1 one=$2@localhost secret1=$3 two=$4@localhost secret2=$5
unset TMUX XDG_CONFIG_HOME XDG_DATA_HOME
folder=$(mktemp -d)
trap 'terminal kill-server 2>/dev/null || true; rm -rf "$folder"' EXIT

terminal() {
    tmux -u -S "$folder/tmux" -f /dev/null "$@"
}

# Somebody with a new home starts Profanity.
start() {
    local settings=$folder/$1/.config/profanity
    mkdir -p "$settings"
    # It would look for a newer version of itself, and show [TLS] where there is none. That somebody types would be
    # a message of its own, refused on its own.
    printf '[ui]\nvercheck=false\ntls.show=false\n[chatstates]\nenabled=false\n' >"$settings/profrc"
    terminal new-session -d -s "$1" -x 80 -y 16 -e "HOME=$folder/$1" profanity
    shows "$1" "/help"
    types "$1" "/clear"
}

types() {
    terminal send-keys -t "$1" -l "$2"
    terminal send-keys -t "$1" Enter
}

# Waits until somebody's terminal shows a text.
shows() {
    for _ in {1..100}; do
        screen=$(terminal capture-pane -p -t "$1")
        [[ $screen == *"$2"* ]] && return 0
        sleep 0.1
    done
    printf 'not so: %s shows %s\n%s\n' "$1" "$2" "$screen"
    return 1
}

# What the terminal shows that was waited for last.
print_screen() {
    printf '%s\n' "$screen" | grep -v '^$'
}

all_are_gone() {
    for _ in {1..100}; do
        terminal has-session 2>/dev/null || return 0
        sleep 0.1
    done
    echo "somebody does not leave"
    return 1
}

log_in() {
    start "$1"
    types "$1" "/connect $2/$1 server 127.0.0.1 port $port tls disable"
    shows "$1" "Enter password"
    types "$1" "$3"
    shows "$1" "logged in"
}

log_in laptop "$one" "$secret1"
log_in desk "$two" "$secret2"

types laptop "/sub request $two"
shows desk "Received authorization request"
types desk "/sub allow $one"
shows laptop "++ $two (desk) is online"
types desk "/sub request $one"
shows laptop "Received authorization request"
types laptop "/sub allow $two"
shows desk "++ $one (laptop) is online"
types laptop "/roster nick $two 保罗"
shows laptop "Nickname for $two set to: 保罗"
print_screen

types laptop "/msg 保罗 你好，世界 😀 <&>"
shows desk "<< chat message: $one/laptop"
types desk "/win 2"
shows desk "$one/laptop: 你好，世界 😀 <&>"
types desk "Hello, and ']]>"
shows laptop "保罗/desk: Hello, and ']]>"
print_screen

types laptop "/blocked add $two"
shows desk "$one [offline]"
types desk "Are you there?"
shows desk "! Error from $one: service-unavailable"
types laptop "/blocked remove $two"
shows desk "$one [online]"
types desk "There you are."
shows laptop "保罗/desk: There you are."
print_screen
[[ $screen != *"Are you there?"* ]]

for someone in laptop desk; do
    types "$someone" "/quit"
done
all_are_gone
echo "SCRAM-SHA-1"
