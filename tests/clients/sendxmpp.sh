#!/usr/bin/env bash
# sendxmpp (Perl, a program for scripts): one logs in by SASL PLAIN, sends what it was piped, and leaves. Two is this
# script: XMPP by hand, over bash's own sockets.
#
# Run by `tests/clients/run`. sendxmpp speaks TLS only where it is told to.
# apt: sendxmpp libauthen-sasl-perl
# accounts: ascii, since it logs in with its characters as bytes

set -euo pipefail
port=$1 one=$2 secret1=$3 two=$4 secret2=$5
config=$(mktemp)
trap 'rm -f "$config"' EXIT

# Reads from the server until what came ends as it is told.
until_it_ends_with() {
    local char
    got=
    while IFS= read -r -d '' -n 1 -t 20 -u "$server" char; do
        got+=$char
        [[ $got == *"$1" ]] && return
    done
    echo "not so: $1 after $got" >&2
    return 1
}

exec {server}<>"/dev/tcp/127.0.0.1/$port"
cat >&"$server" <<END
<stream:stream to='localhost' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
<iq id='1' type='set'><query xmlns='jabber:iq:auth'><username>$two</username><password>$secret2</password><resource>sh</resource></query></iq>
<presence/>
END
until_it_ends_with "<presence to='$two@localhost' from='$two@localhost/sh'/>"

printf 'username: %s\npassword: %s\njserver: localhost\nport: %s\ncomponent: localhost\n' "$one" "$secret1" "$port" >"$config"
printf "你好，世界 😀 <&> ']]>" | sendxmpp -f "$config" -r cron "$two@localhost"
until_it_ends_with "</message>"
for piece in "from='$one@localhost/cron'" "type='chat'" "<body>你好，世界 😀 &lt;&amp;&gt; ']]&gt;"; do
    [[ $got == *"$piece"* ]] || { echo "not so: $piece in $got" >&2; exit 1; }
done

printf '</stream:stream>' >&"$server"
until_it_ends_with "</stream:stream>"
echo "PLAIN"
