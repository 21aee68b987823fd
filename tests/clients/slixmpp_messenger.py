"""slixmpp (Python) as a messenger uses it: a contact list on two resources, subscriptions, carbons, what is said while one
is away, a blocked contact. One has a phone and a laptop, two has a desk.

Run by `tests/clients/run`. Nothing may come but what is expected, and each resource gets it in the order in which it stands
here. `slixmpp.py` says how slixmpp logs in.
"""
# pip: slixmpp==1.17.0

import asyncio
import sys
from datetime import datetime, timedelta, timezone

import slixmpp

PORT, ONE, SECRET1, TWO, SECRET2 = sys.argv[1:]
EVENTS = """
    presence_available presence_unavailable presence_subscribe presence_subscribed
    roster_update message message_error carbon_sent carbon_received blocked unblocked
"""


class Resource(slixmpp.ClientXMPP):
    """A client whose arrivals queue up."""

    def __init__(self, name, password, resource):
        mechanisms = {"feature_mechanisms": {"unencrypted_scram": True}}
        super().__init__(f"{name}@localhost/{resource}", password, plugin_config=mechanisms)
        self.enable_direct_tls = self.enable_starttls = False
        self.enable_plaintext = True
        self.auto_authorize, self.auto_subscribe = None, False  # requests are answered here
        for plugin in ("xep_0191", "xep_0199", "xep_0203", "xep_0280"):
            self.register_plugin(plugin)
        self.arrivals = asyncio.Queue()
        for event in EVENTS.split():
            self.add_event_handler(event, lambda stanza, event=event: self.arrivals.put_nowait((event, stanza)))

    async def come(self):
        """Logs in and is available. Returns who is in the roster, and the subscription of each."""
        started = self.wait_until("session_start")
        self.connect("127.0.0.1", int(PORT))
        await started
        await self.get_roster()
        roster = await self.next("roster_update")
        await self.plugin["xep_0280"].enable()
        self.send_presence()
        return {jid: item["subscription"] for jid, item in roster["roster"]["items"].items()}

    def say(self, to, body):
        self.send_message(to, body, mtype="chat")

    async def all_has_come(self):
        """The server answers in order, so what is not there now will not come."""
        await self.plugin["xep_0199"].send_ping("localhost")
        assert self.arrivals.empty(), f"{self.boundjid} did not expect {self.arrivals.get_nowait()}"

    async def leave(self):
        await self.all_has_come()
        await self.disconnect()

    async def next(self, event):
        """What comes next, which must be this."""
        got, stanza = await asyncio.wait_for(self.arrivals.get(), 10)
        assert got == event, f"{self.boundjid} expected {event}, not {stanza}"
        return stanza

    async def next_presences(self, *resources, event="presence_available"):
        """Of each of these, in any order."""
        came = {(await self.next(event))["from"] for _ in resources}
        assert came == {resource.boundjid for resource in resources}, came

    async def next_subscription(self, kind, contact):
        presence = await self.next(f"presence_{kind}")
        assert presence["from"] == contact, presence

    async def next_push(self, contact, subscription, ask=""):
        push = await self.next("roster_update")
        assert push["type"] == "set", push
        [(jid, item)] = push["roster"]["items"].items()
        assert (jid, item["subscription"], item["ask"]) == (contact, subscription, ask), push
        return item

    async def next_message(self, sender, body):
        message = await self.next("message")
        assert (message["from"], message["body"]) == (sender.boundjid, body), message
        return message

    async def next_carbon(self, way, sender, body):
        carbon = await self.next(f"carbon_{way}")
        copied = carbon[f"carbon_{way}"]
        assert (copied["from"], copied["body"]) == (sender.boundjid, body), carbon

    async def next_error(self, to, condition):
        error = await self.next("message_error")
        assert (error["from"], error["error"]["condition"]) == (to, condition), error
        return error

    async def next_block(self, event, contact):
        push = await self.next(event)
        [item] = push[event.removesuffix("ed")]["items"]
        assert item["jid"] == contact, push


async def contact_list(phone, laptop, two):
    """RFC 6121 section 2.1.6: what one resource changes, both are told."""
    for name, groups in ("保罗", {"朋友", "<&>"}), ("Paul", set()):
        phone.update_roster(two, name=name, groups=list(groups))
        for resource in phone, laptop:
            item = await resource.next_push(two, "none")
            assert (item["name"], set(item["groups"])) == (name, groups), item


async def subscriptions(phone, laptop, desk, one, two):
    """RFC 6121 section 3.1: one asks and two agrees; then the other way round."""
    phone.send_presence_subscription(two)
    await desk.next_subscription("subscribe", one)
    desk.send_presence_subscription(one, ptype="subscribed")
    await desk.next_push(one, "from")
    for resource in phone, laptop:
        await resource.next_push(two, "none", ask="subscribe")
        await resource.next_subscription("subscribed", two)
        await resource.next_push(two, "to")
        await resource.next_presences(desk)

    desk.send_presence_subscription(one)
    for resource in phone, laptop:
        await resource.next_subscription("subscribe", two)
    laptop.send_presence_subscription(two, ptype="subscribed")
    for resource in phone, laptop:
        await resource.next_push(two, "both")
    await desk.next_push(one, "from", ask="subscribe")
    await desk.next_subscription("subscribed", one)
    await desk.next_push(one, "both")
    await desk.next_presences(phone, laptop)


async def carbons(phone, laptop, desk, two):
    """XEP-0280: the laptop follows what the phone says and hears."""
    phone.say(two, "你好")
    await desk.next_message(phone, "你好")
    await laptop.next_carbon("sent", phone, "你好")
    desk.say(phone.boundjid, "世界 😀")
    await phone.next_message(desk, "世界 😀")
    await laptop.next_carbon("received", desk, "世界 😀")


async def absence(phone, laptop, desk, one, two):
    """XEP-0160 and XEP-0203: what was said meanwhile comes with the next login, in order, with its time."""
    await desk.leave()
    for resource in phone, laptop:
        await resource.next_presences(desk, event="presence_unavailable")
    begun = datetime.now(timezone.utc) - timedelta(seconds=1)  # the stamp may leave out a part of its second
    for body in "一", "二":
        phone.say(two, body)
        await laptop.next_carbon("sent", phone, body)
    ended = datetime.now(timezone.utc)

    desk = Resource(TWO, SECRET2, "desk")
    assert await desk.come() == {one: "both"}
    await desk.next_presences(phone, laptop, desk)
    for body in "一", "二":
        message = await desk.next_message(phone, body)
        assert message["delay"]["from"] == "localhost", message
        assert begun <= message["delay"]["stamp"] <= ended, message
    for resource in phone, laptop:
        await resource.next_presences(desk)
    return desk


async def blocking(phone, laptop, desk, one, two):
    """XEP-0191: while one blocks two, one seems away, and nothing passes either way."""
    for resource in phone, laptop:  # which are told of changes from now on
        assert await resource.plugin["xep_0191"].get_blocked_jids() == set()
    await phone.plugin["xep_0191"].block(two)
    for resource in phone, laptop:
        await resource.next_block("blocked", two)
        assert await resource.plugin["xep_0191"].get_blocked_jids() == {two}
    await desk.next_presences(phone, laptop, event="presence_unavailable")
    for to in one, phone.boundjid:
        desk.say(to, "?")
        await desk.next_error(to, "service-unavailable")
    phone.say(two, "!")
    error = await phone.next_error(two, "not-acceptable")
    assert error.xml.find(".//{urn:xmpp:blocking:errors}blocked") is not None, error
    for resource in phone, laptop:
        await resource.all_has_come()

    await laptop.plugin["xep_0191"].unblock(two)
    for resource in phone, laptop:
        await resource.next_presences(desk)
        await resource.next_block("unblocked", two)
        assert await resource.plugin["xep_0191"].get_blocked_jids() == set()
    await desk.next_presences(phone, laptop)
    desk.say(one, "再来")
    for resource in phone, laptop:
        await resource.next_message(desk, "再来")


async def main():
    phone, laptop = Resource(ONE, SECRET1, "手机"), Resource(ONE, SECRET1, "laptop")
    desk = Resource(TWO, SECRET2, "desk")
    one, two = phone.boundjid.bare, desk.boundjid.bare
    for resource, seen in (phone, [phone]), (laptop, [phone, laptop]), (desk, [desk]):
        assert await resource.come() == {}
        await resource.next_presences(*seen)
    await phone.next_presences(laptop)

    await contact_list(phone, laptop, two)
    await subscriptions(phone, laptop, desk, one, two)
    await carbons(phone, laptop, desk, two)
    desk = await absence(phone, laptop, desk, one, two)
    await blocking(phone, laptop, desk, one, two)
    for resource in phone, laptop, desk:
        await resource.all_has_come()
    for resource in phone, laptop, desk:
        await resource.disconnect()
    print("SCRAM-SHA-1")


asyncio.run(asyncio.wait_for(main(), 30))
