// gloox (C++): one logs in by PLAIN, with stream management and client state, two by the digest of jabber:iq:auth. It
// fetches the roster and sends presence by itself.
//
// Run by `tests/clients/run`. SCRAM-SHA-1 is turned off: without TLS gloox 1.0.24 begins it with the flag `y` and ends it
// with `n` (c=biws), which must fail (RFC 5802 section 5.1).
// apt: libgloox-dev g++ pkg-config
// pkg-config: gloox

#include <cstdlib>
#include <functional>
#include <iostream>
#include <unistd.h>

#include <gloox/client.h>
#include <gloox/connectionlistener.h>
#include <gloox/message.h>
#include <gloox/messagehandler.h>
#include <gloox/rostermanager.h>
#include <gloox/rosterlistener.h>
#include <gloox/stanzaextension.h>

using namespace gloox;

static const std::string BODY = "你好，世界 😀 <&> ']]>";

static void hold(bool fact, const std::string &what)
{
    if (fact)
        return;
    std::cerr << "not so: " << what << std::endl;
    exit(1);
}

/// An element of our own inside a message.
struct Note : StanzaExtension {
    std::string zone, time, msg;

    Note(const std::string &zone, const std::string &time, const std::string &msg)
        : StanzaExtension(ExtUser + 1), zone(zone), time(time), msg(msg) {}

    explicit Note(const Tag *tag) : StanzaExtension(ExtUser + 1)
    {
        if (!tag || !tag->findChild("time") || !tag->findChild("msg"))
            return;
        zone = tag->findChild("time")->findAttribute("zone");
        time = tag->findChild("time")->cdata();
        msg = tag->findChild("msg")->cdata();
    }

    const std::string &filterString() const override
    {
        static const std::string filter = "/message/x[@xmlns='urn:example:note']";
        return filter;
    }

    StanzaExtension *newInstance(const Tag *tag) const override { return new Note(tag); }
    StanzaExtension *clone() const override { return new Note(*this); }

    Tag *tag() const override
    {
        Tag *x = new Tag("x");
        x->setXmlns("urn:example:note");
        (new Tag(x, "time", time))->addAttribute("zone", zone);
        new Tag(x, "msg", msg);
        return x;
    }
};

struct Someone : ConnectionListener, MessageHandler, RosterListener {
    Client client;
    bool connected = false, disconnected = false, roster = false, presence = false, message = false;
    std::string from;

    Someone(const char *port, const std::string &name, const char *secret, const std::string &resource)
        : client(JID(name + "@localhost/" + resource), secret)
    {
        client.setServer("127.0.0.1");
        client.setPort(atoi(port));
        client.setTls(TLSDisabled);
        client.registerConnectionListener(this);
        client.registerMessageHandler(this);
        client.rosterManager()->registerRosterListener(this);
        client.registerStanzaExtension(new Note("", "", ""));
    }

    void until(std::function<bool()> done)
    {
        while (!done())
            hold(client.recv(100'000) == ConnNoError || disconnected, "a connection");
    }

    void come()
    {
        hold(client.connect(false), "connecting");
        until([&] { return connected && roster && presence; });
    }

    void say(const JID &to, Someone &receiver)
    {
        receiver.from = client.jid().full();
        Message message(Message::Chat, to, BODY);
        message.addExtension(new Note("东八区", "2015-06-18 14:25:36", "内容"));
        client.send(message);
        receiver.until([&] { return receiver.message; });
    }

    void leave()
    {
        client.disconnect();
        hold(disconnected, "an end");
    }

    void onConnect() override { connected = true; }

    void onDisconnect(ConnectionError error) override
    {
        hold(error == ConnUserDisconnected, "an end of our own, not " + std::to_string(error));
        disconnected = true;
    }

    bool onTLSConnect(const CertInfo &) override { return true; }

    /// Holds that the message has arrived as it was sent.
    void handleMessage(const Message &got, MessageSession *) override
    {
        hold(got.from().full() == from && got.subtype() == Message::Chat && got.body() == BODY, got.body());
        const Note *note = got.findExtension<Note>(ExtUser + 1);
        hold(note && note->zone == "东八区" && note->time == "2015-06-18 14:25:36" && note->msg == "内容", "the note");
        message = true;
    }

    void handleRoster(const Roster &items) override
    {
        hold(items.empty(), "an empty roster");
        roster = true;
    }

    void handleSelfPresence(const RosterItem &, const std::string &resource, Presence::PresenceType, const std::string &) override
    {
        hold(resource == client.resource(), "the own presence");
        presence = true;
    }

    void handleItemAdded(const JID &) override {}
    void handleItemSubscribed(const JID &) override {}
    void handleItemRemoved(const JID &) override {}
    void handleItemUpdated(const JID &) override {}
    void handleItemUnsubscribed(const JID &) override {}
    void handleRosterPresence(const RosterItem &, const std::string &, Presence::PresenceType, const std::string &) override {}
    bool handleSubscriptionRequest(const JID &, const std::string &) override { return false; }
    bool handleUnsubscriptionRequest(const JID &, const std::string &) override { return false; }
    void handleNonrosterPresence(const Presence &) override {}
    void handleRosterError(const IQ &) override { hold(false, "a roster"); }
};

int main(int argc, char **argv)
{
    hold(argc == 6, "five arguments");
    alarm(30);
    Someone one(argv[1], argv[2], argv[3], "手机"), two(argv[1], argv[4], argv[5], "desk");
    one.client.setSASLMechanisms(SaslMechPlain);
    one.client.setStreamManagement();
    two.client.setForceNonSasl();
    one.come();
    two.come();
    hold(one.client.hasClientStateIndication(), "client state indication");
    one.client.setInactive();
    one.say(two.client.jid().bareJID(), two);
    two.say(one.client.jid(), one);
    one.leave();
    two.leave();
    std::cout << "PLAIN, and jabber:iq:auth by digest" << std::endl;
}
