"""Twisted Words (Python): both log in by the digest of jabber:iq:auth, as it was before XMPP 1.0: a stream header without
a version, and so no features.

Run by `tests/clients/run`. It speaks TLS only where the server offers it.
"""
# pip: twisted==26.10.0

import sys

from twisted.internet import defer, endpoints, reactor, task
from twisted.internet.error import ConnectionDone
from twisted.words.protocols.jabber import client, jid, xmlstream
from twisted.words.xish import domish

PORT, ONE, SECRET1, TWO, SECRET2 = sys.argv[1:]
BODY = "你好，世界 😀 <&> ']]>"


class Someone:
    """A client with a connection of its own."""

    def __init__(self, address, password):
        self.address = address
        self.authenticator = client.BasicAuthenticator(jid.JID(address), password)

    async def come(self):
        endpoint = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", int(PORT))
        self.stream = await endpoint.connect(xmlstream.XmlStreamFactory(self.authenticator))
        await self.event(xmlstream.STREAM_AUTHD_EVENT)
        assert self.stream.version == (0, 0), self.stream.version
        iq = xmlstream.IQ(self.stream, "get")
        iq.addElement(("jabber:iq:roster", "query"))
        result = await iq.send()
        assert result["to"] == self.address and not result.query.children, result.toXml()
        own = self.event("/presence")
        self.stream.send(domish.Element(("jabber:client", "presence")))
        assert (await own)["from"] == self.address

    def event(self, name):
        happened = defer.Deferred()
        self.stream.addOnetimeObserver(name, happened.callback)
        return happened

    async def say(self, to, receiver):
        """Sends a message and holds that it arrives as it was sent."""
        message = domish.Element(("jabber:client", "message"))
        message["to"], message["type"] = to, "chat"
        message.addElement("body", content=BODY)
        extension = message.addElement(("urn:example:note", "x"))
        extension.addElement("time", content="2015-06-18 14:25:36")["zone"] = "东八区"
        extension.addElement("msg", content="内容")
        arrival = receiver.event("/message")
        self.stream.send(message)
        got = await arrival
        assert (got["from"], got["type"], str(got.body)) == (self.address, "chat", BODY), got.toXml()
        assert got.x.toXml() == extension.toXml(), got.toXml()

    async def leave(self):
        gone = self.event(xmlstream.STREAM_END_EVENT)
        self.stream.sendFooter()
        try:
            await gone
        except ConnectionDone:
            pass  # which is how it says that all is well


async def main():
    one = Someone(f"{ONE}@localhost/手机", SECRET1)
    two = Someone(f"{TWO}@localhost/desk", SECRET2)
    await one.come()
    await two.come()
    await one.say(two.authenticator.jid.userhost(), two)
    await two.say(one.address, one)
    await one.leave()
    await two.leave()
    print("jabber:iq:auth by digest, without a version")


task.react(lambda _: defer.ensureDeferred(main()).addTimeout(30, reactor))
