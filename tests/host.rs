//! What a host program has to do with rosters and presence: it arranges who sees whom, and its own addresses are
//! contacts like others.
//!
//! Read first: RFC 6121 sections 3 and 4, where the host stands for another server. Left out on purpose: messages.

#![allow(clippy::unwrap_used, clippy::panic)] // it is how a test fails

use loquat::{AccountError, ClaimError, Config, Event, Now, Opening, Peer, Server, StreamId, Then};

/// A server with two accounts, and a host that has two domains.
struct Room {
    server: Server,
    clients: Vec<(StreamId, String)>,
}

impl Room {
    fn new(set: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("localhost").unwrap();
        config.scram_iterations = 1;
        set(&mut config);
        let mut server = Server::new(config, Box::new(|_| Ok(()))).unwrap();
        for name in ["romeo", "juliet"] {
            server.add_account(name, "secret").unwrap();
        }
        server.claim("bot.localhost").unwrap();
        server.claim("rooms.localhost").unwrap();
        Self { server, clients: Vec::new() }
    }

    /// A client that has logged in, and has said this.
    fn enter(&mut self, name: &str, said: &str) -> StreamId {
        let id = self.server.open(Opening::client(Peer::default()), Now::default()).unwrap();
        self.clients.push((id, String::new()));
        let login = format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
             <iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{name}</username>\
             <password>secret</password><resource>home</resource></query></iq>"
        );
        self.say(id, &login);
        self.say(id, said);
        id
    }

    /// What a client is sent when it says something.
    fn say(&mut self, id: StreamId, text: &str) -> String {
        self.server.receive(id, text.as_bytes(), Now::default());
        self.heard(id)
    }

    /// What a client has been sent since it was looked at last.
    fn heard(&mut self, id: StreamId) -> String {
        loop {
            let mut flush = self.server.flush(Now::default()).unwrap();
            let mut over = Vec::new();
            while let Some((dirty, outgoing)) = flush.next() {
                let (text, then) = (String::from_utf8_lossy(outgoing.bytes).into_owned(), outgoing.then);
                flush.sent(dirty, text.len());
                if let Some((_, heard)) = self.clients.iter_mut().find(|(client, _)| *client == dirty) {
                    heard.push_str(&text);
                }
                if then != Then::GoOn {
                    over.push(dirty);
                }
            }
            drop(flush);
            if over.is_empty() {
                break;
            }
            over.into_iter().for_each(|id| self.server.hung_up(id, Now::default()));
        }
        let client = self.clients.iter_mut().find(|(client, _)| *client == id);
        client.map(|(_, heard)| std::mem::take(heard)).unwrap_or_default()
    }

    fn inject(&mut self, stanza: &str) {
        self.server.inject(stanza, Now::default()).unwrap();
    }

    /// The stanzas that the host has got since it asked last.
    fn events(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.server.next_event() {
            if let Event::Stanza(stanza) = event {
                events.push(stanza.to_string().replace(" xmlns='jabber:client'", ""));
            }
        }
        events
    }
}

const ROSTER: &str = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";

/// Holds that all of these come, one after the other.
fn shows(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for wanted in wanted {
        rest = rest.split_once(wanted).unwrap_or_else(|| panic!("where is {wanted} in {text}?")).1;
    }
}

#[test]
fn what_the_host_arranges_is_told_at_once() {
    let mut room = Room::new(|_| ());
    let romeo = room.enter("romeo", &format!("{ROSTER}<presence id='r'/>"));
    let juliet = room.enter("juliet", &format!("{ROSTER}<presence id='j'/>"));
    room.heard(romeo);
    room.heard(juliet);
    room.server.subscribe("romeo", "juliet").unwrap();
    shows(
        &room.heard(romeo),
        &["<item jid='juliet@localhost' subscription='to'/>", "<presence to='romeo@localhost' id='j'"],
    );
    shows(&room.heard(juliet), &["<item jid='romeo@localhost' subscription='from'/>"]);
    room.server.subscribe("romeo", "juliet").unwrap();
    room.server.subscribe("romeo", "romeo").unwrap();
    assert_eq!((room.heard(romeo), room.heard(juliet)), (String::new(), String::new()));
    // What romeo asks for himself is granted with it.
    room.say(juliet, "<presence to='romeo@localhost' type='subscribe'/>");
    room.server.subscribe("juliet", "romeo").unwrap();
    shows(&room.heard(juliet), &["subscription='both'/>", "<presence to='juliet@localhost' id='r'"]);
    shows(&room.heard(romeo), &["type='subscribe'", "subscription='both'/>"]);
    let again = room.enter("romeo", "<presence/>");
    assert!(!room.heard(again).contains("type='subscribe'"));
}

#[test]
fn an_address_of_the_host_is_a_contact() {
    let mut room = Room::new(|_| ());
    let romeo = room.enter("romeo", &format!("{ROSTER}<presence/>"));
    room.heard(romeo);
    // He asks the bot, which agrees.
    let pushed = room.say(romeo, "<presence id='1' to='bot.localhost/x' type='subscribe'/>");
    shows(&pushed, &["<item jid='bot.localhost' subscription='none' ask='subscribe'/>"]);
    assert_eq!(
        room.events(),
        ["<presence id='1' type='subscribe' from='romeo@localhost' to='bot.localhost'/>"]
    );
    room.inject("<presence from='bot.localhost' to='romeo@localhost' type='subscribed'/>");
    room.inject("<presence from='bot.localhost/v1' to='romeo@localhost'><status>ready</status></presence>");
    shows(
        &room.heard(romeo),
        &["type='subscribed'", "<item jid='bot.localhost' subscription='to'/>", "<status>ready</status>"],
    );
    // The bot asks him, and he agrees: it gets his presence, now and when it changes.
    room.inject("<presence from='bot.localhost' to='romeo@localhost' type='subscribe'/>");
    shows(&room.heard(romeo), &["<presence to='romeo@localhost' from='bot.localhost' type='subscribe'/>"]);
    let pushed = room.say(romeo, "<presence to='bot.localhost' type='subscribed'/>");
    shows(&pushed, &["<item jid='bot.localhost' subscription='both'/>"]);
    room.say(romeo, "<presence><show>away</show></presence><presence type='unavailable'/>");
    assert_eq!(
        room.events(),
        [
            "<presence type='subscribed' from='romeo@localhost' to='bot.localhost'/>",
            "<presence to='bot.localhost' from='romeo@localhost/home'/>",
            "<presence to='bot.localhost' from='romeo@localhost/home'><show>away</show></presence>",
            "<presence to='bot.localhost' type='unavailable' from='romeo@localhost/home'/>",
        ]
    );
    // It is asked whether it is there when he comes; it asks about him.
    room.say(romeo, "<presence/>");
    room.inject("<presence from='bot.localhost' to='romeo@localhost' type='probe'/>");
    room.inject("<presence from='bot.localhost' to='juliet@localhost' type='probe' id='p'/>");
    assert_eq!(
        room.events(),
        [
            "<presence from='romeo@localhost' to='bot.localhost' type='probe'/>",
            "<presence to='bot.localhost' from='romeo@localhost/home'/>",
            "<presence to='bot.localhost' from='romeo@localhost/home'/>",
            "<presence from='juliet@localhost' type='unsubscribed' id='p' to='bot.localhost'/>",
        ]
    );
    // He gives it up, and it him.
    let removal = "<iq type='set' id='2'><query xmlns='jabber:iq:roster'>\
                   <item jid='bot.localhost' subscription='remove'/></query></iq>";
    shows(&room.say(romeo, removal), &["<item jid='bot.localhost' subscription='remove'/>", "id='2'"]);
    room.inject("<presence from='bot.localhost' to='romeo@localhost' type='unsubscribe'/>");
    assert_eq!(
        room.events(),
        [
            "<presence to='bot.localhost' from='romeo@localhost/home' type='unavailable'/>",
            "<presence from='romeo@localhost' type='unsubscribe' to='bot.localhost'/>",
            "<presence from='romeo@localhost' type='unsubscribed' to='bot.localhost'/>",
        ]
    );
}

#[test]
fn an_address_of_the_host_gives_a_contact_up() {
    let mut room = Room::new(|_| ());
    let romeo = room.enter("romeo", &format!("{ROSTER}<presence/>"));
    room.heard(romeo);
    // Whatever resource it names, a subscription is between bare addresses.
    room.inject("<presence from='bot.localhost/v1' to='romeo@localhost/home' type='subscribe'/>");
    shows(&room.heard(romeo), &["<presence to='romeo@localhost' from='bot.localhost' type='subscribe'/>"]);
    room.say(romeo, "<presence to='bot.localhost' type='subscribed'/>");
    room.events();
    // RFC 6121 A.3.2: what it gives up is taken from it, and it is told so.
    room.inject("<presence from='bot.localhost/v1' to='romeo@localhost' type='unsubscribe' id='1'/>");
    assert_eq!(
        room.events(),
        [
            "<presence to='bot.localhost' from='romeo@localhost/home' type='unavailable'/>",
            "<presence from='romeo@localhost' type='unsubscribed' id='1' to='bot.localhost'/>",
        ]
    );
    shows(&room.heard(romeo), &["type='unsubscribe'", "<item jid='bot.localhost' subscription='none'/>"]);
}

#[test]
fn a_room_of_the_host_hears_that_somebody_goes() {
    let mut room = Room::new(|_| ());
    let romeo = room.enter("romeo", "<presence/><presence to='coven@rooms.localhost/Romeo'/>");
    let question =
        "<iq type='get' id='1' from='coven@rooms.localhost' to='romeo@localhost/home'><x xmlns='x'/></iq>";
    room.inject(question);
    shows(&room.heard(romeo), &["<iq type='get' id='1' from='coven@rooms.localhost'"]);
    room.inject("<presence from='coven@rooms.localhost/Romeo' to='romeo@localhost/home' type='probe'/>");
    room.server.hung_up(romeo, Now::default());
    assert_eq!(
        room.events(),
        [
            "<presence to='coven@rooms.localhost/Romeo' from='romeo@localhost/home'/>",
            "<presence to='coven@rooms.localhost/Romeo' from='romeo@localhost/home'/>",
            "<presence to='coven@rooms.localhost/Romeo' from='romeo@localhost/home' type='unavailable'/>",
        ]
    );
}

#[test]
fn a_host_that_takes_nothing_is_asked_for_nothing() {
    let mut room = Room::new(|config| config.limits.events = 1);
    let romeo = room.enter("romeo", ROSTER);
    room.heard(romeo);
    room.say(romeo, "<presence to='bot.localhost'/>");
    let refused = room.say(romeo, "<presence id='1' to='bot.localhost' type='subscribe'/>");
    shows(&refused, &["type='error'", "<resource-constraint "]);
    assert!(!refused.contains("<item "), "{refused}");
    shows(&room.say(romeo, ROSTER), &["<query xmlns='jabber:iq:roster' ver='0000000000000000'/>"]);
}

/// A host that may speak for `juliet` at a domain of its own, and is refused whatever only the local juliet may do.
#[test]
fn the_same_name_at_another_domain_is_somebody_else() {
    let mut room = Room::new(|config| config.add_admin("juliet").unwrap());
    let juliet = room.enter("juliet", &format!("{ROSTER}<presence/>"));
    room.say(
        juliet,
        "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard></iq>\
         <iq type='set' id='p'><query xmlns='jabber:iq:private'><x xmlns='x'>kept</x></query></iq>",
    );
    let requests = [
        "<iq type='set' ID to='localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>",
        "<iq type='set' ID to='localhost'><query xmlns='jabber:iq:register'><username>juliet</username>\
         <password>stolen</password></query></iq>",
        "<iq type='get' ID to='localhost'><query xmlns='jabber:iq:register'/></iq>",
        "<iq type='get' ID to='juliet@localhost'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type='get' ID to='juliet@localhost'><query xmlns='jabber:iq:private'><x xmlns='x'/></query></iq>",
        "<iq type='set' ID to='juliet@localhost'><query xmlns='jabber:iq:private'><x xmlns='x'>y</x></query></iq>",
        "<iq type='set' ID to='juliet@localhost'><vCard xmlns='vcard-temp'><FN>Nobody</FN></vCard></iq>",
        "<iq type='set' ID to='juliet@localhost'><block xmlns='urn:xmpp:blocking'><item jid='a@b'/></block></iq>",
        "<iq type='get' ID to='juliet@localhost'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
        "<iq type='set' ID to='juliet@localhost'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
        "<iq type='get' ID to='juliet@localhost'><query xmlns='jabber:iq:last'/></iq>",
        "<iq type='set' ID to='localhost'><command xmlns='http://jabber.org/protocol/commands' \
         node='http://jabber.org/protocol/admin#get-registered-users-num'/></iq>",
    ];
    for request in requests {
        let request = request.replace("ID", "id='1' from='juliet@rooms.localhost'");
        room.inject(&request);
        let answers = room.events();
        let refused = matches!(&answers[..], [answer] if answer.contains("type='error'"));
        assert!(refused, "{request}\nis answered with {answers:?}");
    }
    let again = room.say(
        juliet,
        "<iq type='get' id='v'><vCard xmlns='vcard-temp'/></iq>\
         <iq type='get' id='p'><query xmlns='jabber:iq:private'><x xmlns='x'/></query></iq>",
    );
    shows(&again, &["<FN>Juliet</FN>", "kept"]);
}

#[test]
fn an_address_of_the_host_is_nobody_elses() {
    let mut room = Room::new(|config| {
        config.registration = true;
        config.add_alias("192.0.2.1").unwrap();
    });
    assert_eq!(room.server.claim("juliet@localhost"), Err(ClaimError::Account));
    assert_eq!(room.server.claim("juliet@192.0.2.1"), Err(ClaimError::Account));
    assert_eq!(room.server.claim("192.0.2.1"), Err(ClaimError::Own));
    room.server.claim("bot@192.0.2.1").unwrap();
    assert_eq!(room.server.add_account("bot", "secret"), Err(AccountError::Exists));
    let stranger = room.server.open(Opening::client(Peer::default()), Now::default()).unwrap();
    room.clients.push((stranger, String::new()));
    let refused = room.say(
        stranger,
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
         <iq type='set' id='1'><query xmlns='jabber:iq:register'><username>bot</username>\
         <password>secret</password></query></iq>",
    );
    shows(&refused, &["type='error'", "<conflict "]);
}

#[test]
fn what_the_host_sends_undergoes_what_all_stanzas_do() {
    let mut room = Room::new(|config| config.add_alias("192.0.2.1").unwrap());
    let romeo = room.enter("romeo", "<presence/>");
    room.heard(romeo);
    room.inject(
        "<message from='bot.localhost' to='romeo@192.0.2.1'><body>b</body>\
         <delay xmlns='urn:xmpp:delay' from='localhost' stamp='2002-09-10T23:08:25Z'/></message>",
    );
    let heard = room.heard(romeo);
    shows(&heard, &["to='romeo@localhost'", "<body>b</body>"]);
    assert!(!heard.contains("urn:xmpp:delay"), "{heard}");
}
