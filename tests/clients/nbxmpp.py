"""nbxmpp (Python, the library of Gajim): one logs in by SCRAM-SHA-1 and two by PLAIN, with stream management.

Run by `tests/clients/run`, with the system's Python. It must be told that the connection may be a plain one.
"""
# apt: python3-nbxmpp

import sys

from gi.repository import GLib
from nbxmpp.client import Client
from nbxmpp.const import ConnectionProtocol, ConnectionType
from nbxmpp.protocol import Iq, Message, Presence
from nbxmpp.simplexml import Node
from nbxmpp.structs import StanzaHandler

PORT, ONE, SECRET1, TWO, SECRET2 = sys.argv[1:]
BODY = "你好，世界 😀 <&> ']]>"
EXTENSION = "<x xmlns='urn:example:note'><time zone='东八区'>2015-06-18 14:25:36</time><msg>内容</msg></x>"
GLIB = GLib.MainContext.default()


class Someone:
    """A client with a connection of its own; what happens to it, and what comes for it, piles up."""

    def __init__(self, name, password, resource, mechanism):
        self.address = f"{name}@localhost/{resource}"
        self.signals, self.messages, self.presences, self.results = [], [], [], []
        self.client = Client()
        self.client.set_domain("localhost")
        self.client.set_username(name)
        self.client.set_password(password)
        self.client.set_resource(resource)
        self.client.set_mechs({mechanism})
        self.client.set_connection_types([ConnectionType.PLAIN])
        self.client.set_custom_host(f"127.0.0.1:{PORT}", ConnectionProtocol.TCP, ConnectionType.PLAIN)
        for signal in ("connected", "connection-failed", "disconnected"):
            self.client.subscribe(signal, lambda _, signal: self.signals.append(signal))
        for name, things in (("message", self.messages), ("presence", self.presences)):
            keep = lambda _, stanza, properties, things=things: things.append(stanza)
            self.client.register_handler(StanzaHandler(name, keep))

    def come(self):
        self.client.connect()
        assert self.next_of(self.signals) == "connected", self.client.get_error()
        assert self.client.get_bound_jid() == self.address, self.client.get_bound_jid()
        keep = lambda task: self.results.append(task.finish())
        self.client.get_module("Roster").request_roster(callback=keep)
        assert self.next_of(self.results).items == []
        self.client.send_stanza(Presence(status="在线", priority=5))
        own = self.next_of(self.presences)
        assert (own.getFrom(), own.getStatus(), own.getPriority()) == (self.address, "在线", "5"), own

    def next_of(self, things):
        while not things:
            GLIB.iteration(True)
        return things.pop(0)

    def say(self, to, receiver):
        """Sends a message and holds that it arrives as it was sent."""
        message = Message(to, BODY, typ="chat")
        message.addChild(node=Node(node=EXTENSION))
        self.client.send_stanza(message)
        got = receiver.next_of(receiver.messages)
        assert (got.getFrom(), got.getType(), got.getBody()) == (self.address, "chat", BODY), got
        extension = got.getTag("x", namespace="urn:example:note")
        assert str(extension).replace('"', "'") == EXTENSION, got

    def leave(self):
        self.client.disconnect()
        assert self.next_of(self.signals) == "disconnected"


GLib.timeout_add_seconds(30, sys.exit, "this takes too long")
one = Someone(ONE, SECRET1, "手机", "SCRAM-SHA-1")
two = Someone(TWO, SECRET2, "desk", "PLAIN")
one.come()
two.come()
one.say(f"{TWO}@localhost", two)
two.say(one.address, one)
one.leave()
two.leave()
print("SCRAM-SHA-1 and PLAIN")
