"""nbxmpp (Python, the library of Gajim) as a messenger uses it: a contact, subscriptions, what is said while one is away, a
blocked contact. What arrives here has been read by nbxmpp's modules; what they refuse does not arrive.

Run by `tests/clients/run`, with the system's Python. Nothing may come but what is expected, and each gets it in the order
in which it stands here. `nbxmpp.py` says how nbxmpp logs in.
"""
# apt: python3-nbxmpp

import faulthandler
import sys

from gi.repository import GLib
from nbxmpp.client import Client
from nbxmpp.const import ConnectionProtocol, ConnectionType
from nbxmpp.namespaces import Namespace
from nbxmpp.protocol import Message
from nbxmpp.structs import StanzaHandler

PORT, ONE, SECRET1, TWO, SECRET2 = sys.argv[1:]
GLIB = GLib.MainContext.default()


class Someone:
    """A client whose arrivals queue up."""

    def __init__(self, name, password, resource):
        self.arrivals = []
        self.client = Client()
        self.client.set_domain("localhost")
        self.client.set_username(name)
        self.client.set_password(password)
        self.client.set_resource(resource)
        self.client.set_mechs({"SCRAM-SHA-1"})
        self.client.set_connection_types([ConnectionType.PLAIN])
        self.client.set_custom_host(f"127.0.0.1:{PORT}", ConnectionProtocol.TCP, ConnectionType.PLAIN)
        for signal in "connected", "connection-failed", "disconnected":
            self.client.subscribe(signal, lambda _, signal: self.arrivals.append((signal, None)))
        self.keep("message")
        self.keep("presence")
        self.keep("iq", typ="set", ns=Namespace.ROSTER)
        self.keep("iq", typ="set", ns=Namespace.BLOCKING)

    def keep(self, name, **which):
        def arrive(client, stanza, properties):
            self.arrivals.append((name, properties))

        self.client.register_handler(StanzaHandler(name, arrive, **which))

    def come(self):
        """Logs in and is available. Returns who is in the roster, and the subscription of each."""
        self.client.connect()
        self.next("connected")
        self.address = self.client.get_bound_jid()
        self.account = self.address.new_as_bare()
        roster = self.ask("Roster", "request_roster")
        self.client.get_module("BasePresence").send()
        return {str(item.jid): item.subscription for item in roster.items}

    def ask(self, module, method, *arguments):
        """The answer to a request."""
        answers = []
        # A name of its own, since nbxmpp has but a weak reference to it.
        keep = lambda task: answers.append(task.get_result())
        getattr(self.client.get_module(module), method)(*arguments, callback=keep)
        while not answers:
            GLIB.iteration(True)
        return answers[0]

    def say(self, to, body):
        self.client.send_stanza(Message(to, body, typ="chat"))

    def leave(self):
        self.ask("Ping", "ping", "localhost")  # all that is for this one comes before the answer
        assert not self.arrivals, self.arrivals
        self.client.disconnect()
        self.next("disconnected")

    def next(self, what):
        """What comes next, which must be this."""
        while not self.arrivals:
            GLIB.iteration(True)
        came, properties = self.arrivals.pop(0)
        assert came == what, f"{what} does not come, but {came} with {properties}"
        return properties

    def next_presence(self, who, kind=None):
        presence = self.next("presence")
        assert (presence.jid, presence.type.value) == (who, kind), presence

    def next_push(self, contact, subscription, name=None, ask=None, groups=()):
        item = self.next("iq").roster.item
        came = (item.jid, item.subscription, item.name, item.ask, item.groups)
        assert came == (contact, subscription, name, ask, set(groups)), item

    def next_message(self, who, body, delayed=False):
        message = self.next("message")
        assert (message.jid, message.body, message.has_server_delay) == (who, body, delayed), message

    def next_error(self, who, condition):
        message = self.next("message")
        assert (message.jid, message.error.condition) == (who, condition), message
        return message.error


def subscriptions(one, two):
    """RFC 6121 section 3: one names the contact and asks, two agrees; then the other way round."""
    item = {"name": "保罗 <&>", "groups": ["朋友"]}
    one.ask("Roster", "set_item", two.account, item["name"], item["groups"])
    one.next_push(two.account, "none", **item)
    one.client.get_module("BasePresence").subscribe(two.account, status="是我")
    one.next_push(two.account, "none", ask="subscribe", **item)
    two.next_presence(one.account, "subscribe")
    two.client.get_module("BasePresence").subscribed(one.account)
    two.next_push(one.account, "from")
    one.next_presence(two.account, "subscribed")
    one.next_push(two.account, "to", **item)
    one.next_presence(two.address)

    two.client.get_module("BasePresence").subscribe(one.account)
    two.next_push(one.account, "from", ask="subscribe")
    one.next_presence(two.account, "subscribe")
    one.client.get_module("BasePresence").subscribed(two.account)
    one.next_push(two.account, "both", **item)
    two.next_presence(one.account, "subscribed")
    two.next_push(one.account, "both")
    two.next_presence(one.address)


def absence(one, two):
    """XEP-0160 and XEP-0203: what was said meanwhile comes with the next login, in order."""
    two.leave()
    one.next_presence(two.address, "unavailable")
    for body in "一", "二":
        one.say(two.account, body)
    one.ask("Ping", "ping", "localhost")
    two = Someone(TWO, SECRET2, "desk")
    assert two.come() == {str(one.account): "both"}
    two.next_presence(one.address)
    two.next_presence(two.address)
    for body in "一", "二":
        two.next_message(one.address, body, delayed=True)
    one.next_presence(two.address)
    return two


def blocking(one, two):
    """XEP-0191: while one blocks two, one seems away, and nothing passes either way."""
    assert one.ask("Blocking", "request_blocking_list") == set()
    one.ask("Blocking", "block", [two.account])
    assert one.next("iq").blocking.block == {two.account}
    assert one.ask("Blocking", "request_blocking_list") == {two.account}
    two.next_presence(one.address, "unavailable")
    two.say(one.address, "?")
    two.next_error(one.address, "service-unavailable")
    one.say(two.account, "!")
    error = one.next_error(two.account, "not-acceptable")
    assert error.app_condition == "blocked", error

    one.ask("Blocking", "unblock", [two.account])
    one.next_presence(two.address)
    assert one.next("iq").blocking.unblock == {two.account}
    two.next_presence(one.address)
    two.say(one.account, "再来")
    one.next_message(two.address, "再来")


faulthandler.dump_traceback_later(30, exit=True)  # or it would not say what does not come
one, two = Someone(ONE, SECRET1, "手机"), Someone(TWO, SECRET2, "desk")
for someone in one, two:
    assert someone.come() == {}
    someone.next_presence(someone.address)
subscriptions(one, two)
two = absence(one, two)
blocking(one, two)
two.leave()
one.next_presence(two.address, "unavailable")
one.leave()
print("SCRAM-SHA-1")
