"""slixmpp (Python): one logs in by SCRAM-SHA-1 and two by PLAIN, with stream management and a ping.

Run by `tests/clients/run`. Without TLS slixmpp must be told three times: to connect, and for each mechanism.
"""
# pip: slixmpp==1.17.0

import asyncio
import sys
import xml.etree.ElementTree as ET

import slixmpp

PORT, ONE, SECRET1, TWO, SECRET2 = sys.argv[1:]
BODY = "你好，世界 😀 <&> ']]>"
EXTENSION = "<x xmlns='urn:example:note'><time zone='东八区'>2015-06-18 14:25:36</time><msg>内容</msg></x>"


def client(name, password, resource, mechanism):
    mechanisms = {"unencrypted_scram": True, "unencrypted_plain": True}
    client = slixmpp.ClientXMPP(
        f"{name}@localhost/{resource}",
        password,
        sasl_mech=mechanism,
        plugin_config={"feature_mechanisms": mechanisms},
    )
    client.enable_direct_tls = client.enable_starttls = False
    client.enable_plaintext = True
    for plugin in ("xep_0030", "xep_0198", "xep_0199"):
        client.register_plugin(plugin)
    return client


async def log_in(client):
    started = client.wait_until("session_start")
    client.connect("127.0.0.1", int(PORT))
    await started
    roster = await client.get_roster()
    assert roster["roster"]["items"] == {}, roster
    came = client.wait_until("presence_available")
    client.send_presence()
    assert (await came)["from"] == client.boundjid


async def say(sender, to, receiver):
    """Sends a message and holds that it arrives as it was sent."""
    sent = sender.make_message(to, mbody=BODY, mtype="chat")
    sent.append(ET.fromstring(EXTENSION))
    arrival = receiver.wait_until("message")
    sent.send()
    got = await arrival
    assert got["from"] == sender.boundjid, got
    assert (got["type"], got["body"]) == ("chat", BODY), got
    extension = ET.tostring(got.xml.find("{urn:example:note}x"))
    assert canonical(extension) == canonical(EXTENSION), got


def canonical(xml):
    return ET.canonicalize(xml, rewrite_prefixes=True)


async def main():
    one = client(ONE, SECRET1, "手机", "SCRAM-SHA-1")
    two = client(TWO, SECRET2, "desk", "PLAIN")
    await log_in(one)
    await log_in(two)
    await say(one, two.boundjid.bare, two)
    await say(two, one.boundjid, one)
    await one.plugin["xep_0199"].ping("localhost")
    for leaving in (one, two):
        await leaving.disconnect()
    print("SCRAM-SHA-1 and PLAIN")


asyncio.run(asyncio.wait_for(main(), 30))
