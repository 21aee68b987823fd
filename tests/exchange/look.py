#!/usr/bin/env python3
"""Logs in to an XMPP server on loopback, and prints the roster: one line for each contact, in order.

    look.py PORT HOST NAME PASSWORD MECHANISM     MECHANISM is SCRAM-SHA-1 (RFC 5802) or PLAIN (RFC 4616)
    look.py ... messages                          prints the messages that have waited instead, which then wait no longer
    look.py ... send ADDRESS TEXT                 sends one, and waits until the server has it

Nothing but the standard library. It ends with an error if it does not get in, or if the server does not prove in turn that
it knows the password.
"""

import base64
import hashlib
import hmac
import socket
import sys
import xml.etree.ElementTree as tree

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
ROSTER = "{jabber:iq:roster}"
CLIENT = "{jabber:client}"
KNOWN = {CLIENT + "body", CLIENT + "subject", "{urn:xmpp:delay}delay"}


class Stream:
    def __init__(self, port, host):
        self.host = host
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def open(self):
        """Opens the stream, or opens it again; gives its features."""
        self.parser = tree.XMLPullParser(["start", "end"])
        self.depth = 0
        self.events = iter(())
        self.say(f"<stream:stream to='{self.host}' version='1.0' xmlns='jabber:client' "
                 "xmlns:stream='http://etherx.jabber.org/streams'>")
        return self.hear()

    def say(self, text):
        self.socket.sendall(text.encode())

    def hear(self):
        """The next child of the stream, whole."""
        while True:
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "end" and self.depth == 1:
                    return element
            data = self.socket.recv(65536)
            if not data:
                sys.exit("the server has hung up")
            self.parser.feed(data)

    def answer(self, id):
        while True:
            element = self.hear()
            if element.tag.endswith("}iq") and element.get("id") == id:
                return element


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def plain(stream, name, password):
    stream.say(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{encoded(chr(0) + name + chr(0) + password)}</auth>")
    return stream.hear().tag.endswith("}success")


def scram(stream, name, password):
    bare = f"n={name.replace('=', '=3D').replace(',', '=2C')},r=notsorandom"
    stream.say(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{encoded('n,,' + bare)}</auth>")
    challenge = stream.hear()
    if not challenge.tag.endswith("}challenge"):
        return False
    first = base64.b64decode(challenge.text).decode()
    fields = dict(field.split("=", 1) for field in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    keyed = lambda key, text: hmac.new(key, text, "sha1").digest()
    client_key = keyed(salted, b"Client Key")
    last = f"c=biws,r={fields['r']}"
    said = f"{bare},{first},{last}".encode()
    proof = bytes(a ^ b for a, b in zip(client_key, keyed(hashlib.sha1(client_key).digest(), said)))
    stream.say(f"<response xmlns='{SASL}'>{encoded(last + ',p=' + base64.b64encode(proof).decode())}</response>")
    end = stream.hear()
    if not end.tag.endswith("}success"):
        return False
    proved = base64.b64encode(keyed(keyed(salted, b"Server Key"), said)).decode()
    if base64.b64decode(end.text).decode() != f"v={proved}":
        sys.exit("the server does not know the password")
    return True


def line(item):
    groups = sorted(group.text or "" for group in item.iter(ROSTER + "group"))
    fields = [item.get("jid"), item.get("subscription"), item.get("name") or "", *groups]
    return "\t".join(fields)


def bind(stream):
    stream.open()
    stream.say("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    stream.answer("bind")


def roster(stream):
    stream.say("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
    items = stream.answer("roster").iter(ROSTER + "item")
    print("\n".join(sorted(line(item) for item in items)))


def messages(stream):
    """Nothing tells which message is the last, so it is the one after which nothing comes for a while."""
    stream.say("<presence/>")
    stream.socket.settimeout(2)
    while True:
        try:
            element = stream.hear()
        except socket.timeout:
            return
        if element.tag == CLIENT + "message":
            print(message(element))


def message(element):
    """Who, what, and when it was sent first: the servers' own messages are from today."""
    stamp = min((delay.get("stamp") for delay in element.iter("{urn:xmpp:delay}delay")), default="no time")
    when = stamp[:10] if stamp < "2010" else "lately" if stamp < "3" else stamp
    rest = [child.tag for child in element if child.tag not in KNOWN]
    subject = element.findtext(CLIENT + "subject") or ""
    return "\t".join([element.get("from"), when, subject, repr(element.findtext(CLIENT + "body")), *rest])


def send(stream, address, text):
    stream.say(f"<message type='chat' to='{address}'><body>{text}</body></message>"
               "<iq type='get' id='sent'><query xmlns='jabber:iq:roster'/></iq>")
    stream.answer("sent")


def main(port, host, name, password, mechanism, do="roster", *args):
    stream = Stream(int(port), host)
    stream.open()
    log_in = {"PLAIN": plain, "SCRAM-SHA-1": scram}[mechanism]
    if not log_in(stream, name, password):
        sys.exit(f"{name} does not get in by {mechanism}")
    bind(stream)
    {"roster": roster, "messages": messages, "send": send}[do](stream, *args)
    stream.say("</stream:stream>")


main(*sys.argv[1:])
