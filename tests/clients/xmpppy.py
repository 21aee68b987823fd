"""xmpppy (Python): one logs in by the digest of jabber:iq:auth and two by SASL PLAIN.

Run by `tests/clients/run`. xmpppy speaks TLS only where the server offers it.
"""
# pip: xmpppy==0.7.4

import signal
import sys

import xmpp

PORT, ONE, SECRET1, TWO, SECRET2 = sys.argv[1:]
BODY = "你好，世界 😀 <&> ']]>"
EXTENSION = "<x xmlns='urn:example:note'><time zone='东八区'>2015-06-18 14:25:36</time><msg>内容</msg></x>"


class Someone:
    """A client with a connection of its own; what comes for it piles up."""

    def __init__(self, name, password, resource, sasl):
        self.address = f"{name}@localhost/{resource}"
        self.messages, self.presences = [], []
        self.client = xmpp.Client("localhost", debug=[])
        assert self.client.connect(("127.0.0.1", int(PORT)), use_srv=False) == "tcp"
        way = self.client.auth(name, password, resource, sasl=sasl)
        assert way == ("sasl" if sasl else "old_auth"), way
        self.client.RegisterHandler("message", lambda _, message: self.messages.append(message))
        self.client.RegisterHandler("presence", lambda _, presence: self.presences.append(presence))
        # xmpppy puts oneself into one's roster.
        assert self.client.getRoster().getItems() == [f"{name}@localhost"], self.client.getRoster().getItems()
        self.client.send(xmpp.Presence(priority=5, status="在线"))
        own = self.next_of(self.presences)
        assert (own.getFrom(), own.getStatus(), own.getPriority()) == (self.address, "在线", "5"), own

    def next_of(self, things):
        while not things:
            assert self.client.Process(1), "the connection is lost"
        return things.pop(0)

    def say(self, to, receiver):
        """Sends a message and holds that it arrives as it was sent."""
        self.client.send(xmpp.Message(to, BODY, "chat", payload=[xmpp.simplexml.XML2Node(EXTENSION)]))
        got = receiver.next_of(receiver.messages)
        assert (got.getFrom(), got.getType(), got.getBody()) == (self.address, "chat", BODY), got
        extension = got.getTag("x", namespace="urn:example:note")
        assert str(extension).replace('"', "'") == EXTENSION, got


signal.alarm(30)
one = Someone(ONE, SECRET1, "手机", sasl=0)
two = Someone(TWO, SECRET2, "desk", sasl=1)
one.say(f"{TWO}@localhost", two)
two.say(one.address, one)
for someone in one, two:
    someone.client.disconnect()
print("jabber:iq:auth by digest, and PLAIN")
