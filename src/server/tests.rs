//! What the server does that no transcript shows: limits, what is recorded and in which order.
//!
//! Read first: [`super`]. Left out on purpose: what goes over the wire; that is in `tests/transcripts`.

use std::sync::{Arc, Mutex};

use super::*;
use crate::tables::{AccountChange, AccountError, Change, Kept, Recorder, StorageStatus, Subscription};
use crate::xmpp::peer::Peer;

fn server(set: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::new("localhost").unwrap();
    set(&mut config);
    Server::new(config, Box::new(|_| Ok(()))).unwrap()
}

#[test]
fn connections_are_limited() {
    let mut server = server(|config| config.limits.connections = 2);
    let mut open = || server.open(Opening::client(Peer::default()), Now::default());
    let (first, second) = (open(), open());
    assert!(first.is_some() && second.is_some() && open().is_none());
    server.hung_up(first.unwrap(), Now::default());
    assert!(server.open(Opening::client(Peer::default()), Now::default()).is_some(), "there is room again");
}

#[test]
fn a_stream_that_has_ended_keeps_nothing_of_what_it_is_sent() {
    let (mut server, now) = (server(|_| ()), Now::default());
    let id = server.open(Opening::client(Peer::default()), now).unwrap();
    server.receive(id, b"oops", now);
    for _ in 0..100 {
        server.receive(id, &[b'x'; 1000], now);
    }
    let kept = server.streams.get_mut(id).unwrap().take_spare().capacity();
    assert!(kept.max(server.spare.capacity()) < 2000, "{kept} bytes");
}

/// What is given back goes in slices, but a server that stops has no more turns.
#[test]
fn what_is_not_acknowledged_when_the_server_stops_waits_for_its_account() {
    const MESSAGES: usize = 1_000;
    let mut server = server(|config| {
        config.scram_iterations = 1;
        config.limits.offline_messages = MESSAGES;
    });
    let now = Now::default();
    let [romeo, juliet] = ["romeo", "juliet"].map(|name| {
        server.add_account(name, "secret").unwrap();
        let id = server.open(Opening::client(Peer::default()), now).unwrap();
        let login = format!(
            "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'><iq type='set' id='1'>\
             <query xmlns='jabber:iq:auth'><username>{name}</username><password>secret</password>\
             <resource>x</resource></query></iq><presence/>"
        );
        server.receive(id, login.as_bytes(), now);
        id
    });
    server.receive(juliet, b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>", now);
    let message = "<message type='chat' to='juliet@localhost'><body>1</body></message>";
    server.receive(romeo, message.repeat(MESSAGES).as_bytes(), now);
    server.hung_up(juliet, now);
    server.shut_down(now);
    assert_eq!(server.tables.accounts.offline("juliet".into()).map(|offline| offline.len()), Some(MESSAGES));
}

#[test]
fn a_subscription_is_between_accounts() {
    let mut server = server(|_| ());
    server.add_account("a", "secret").unwrap();
    assert_eq!(server.add_account("A", "secret"), Err(AccountError::Exists));
    assert_eq!(server.subscribe("a", "b"), Err(AccountError::Unknown));
    assert_eq!(server.subscribe("b", "a"), Err(AccountError::Unknown));
    assert_eq!(server.subscribe("a", "b@c"), Err(AccountError::BadName));
    server.add_account("b", "secret").unwrap();
    assert_eq!(server.subscribe("a", "B"), Ok(()));
}

/// Takes down so many changes and no more, and the kind of each.
#[derive(Default)]
struct Diary {
    left: usize,
    /// It commits nothing.
    fails: bool,
    entries: Arc<Mutex<Vec<&'static str>>>,
}

fn forgetful(left: usize) -> Option<Box<dyn Recorder>> {
    Some(Box::new(Diary { left, ..Diary::default() }))
}

impl Recorder for Diary {
    fn record_all(&mut self, changes: &[Change<'_>]) -> io::Result<()> {
        self.left = self.left.checked_sub(changes.len()).ok_or(io::ErrorKind::WriteZero)?;
        self.entries.lock().unwrap().extend(changes.iter().map(|change| match change {
            Change::Account(_, AccountChange::Offline(_)) => "a message waits",
            Change::Account(_, AccountChange::OfflineSent(_)) => "it was sent",
            Change::Account(_, AccountChange::Removed) => "the account goes",
            _ => "something else",
        }));
        Ok(())
    }

    fn status(&self) -> StorageStatus {
        StorageStatus { journal_bytes: 0, snapshot_bytes: 0, recorded_bytes: 0, refuses: false }
    }

    fn commit(&mut self, _: Duration) -> io::Result<()> {
        self.entries.lock().unwrap().push("commit");
        if self.fails {
            Err(io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    }

    fn next_commit(&self) -> Option<Duration> {
        None
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn maintain(&mut self, _: Kept<'_>) -> bool {
        true
    }
}

/// Romeo says something while the change that comes after so many cannot be recorded. What he was answered, and what
/// his roster and Juliet's say of each other then.
fn forgets_after(changes: usize, before: &str, said: &str) -> (String, [Option<Subscription>; 2]) {
    let (mut server, now) = (server(|config| config.scram_iterations = 1), Now::default());
    server.add_account("romeo", "secret").unwrap();
    server.add_account("juliet", "secret").unwrap();
    let id = server.open(Opening::client(Peer::default()), now).unwrap();
    let login = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
                 <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>romeo</username>\
                 <password>secret</password><resource>x</resource></query></iq>";
    server.receive(id, login.as_bytes(), now);
    server.receive(id, before.as_bytes(), now);
    heard(&mut server, id);
    server.tables.recorder = forgetful(changes);
    server.receive(id, said.as_bytes(), now);
    let heard = heard(&mut server, id);
    let state = |owner: &str, contact: &str| {
        server.tables.accounts.contact(owner.into(), contact).map(|contact| contact.subscription)
    };
    (heard, [state("romeo", "juliet@localhost"), state("juliet", "romeo@localhost")])
}

#[test]
fn a_subscription_is_recorded_on_both_sides_or_on_none() {
    const ASK: &str = "<presence to='juliet@localhost' type='subscribe' id='2'/>";
    for changes in 0..2 {
        let (heard, states) = forgets_after(changes, "", ASK);
        assert!(heard.contains("<resource-constraint "), "{changes}: {heard}");
        assert_eq!(states, [None, None], "{changes}");
    }
    let (heard, states) = forgets_after(2, "", ASK);
    assert_eq!((heard.as_str(), states[0]), ("", Some(Subscription::NonePendingOut)));
    assert_eq!(states[1], Some(Subscription::NonePendingIn));
}

/// Romeo and Juliet, who see each other, are there; the nurse is not. Juliet is an administrator.
fn house() -> (Server, [StreamId; 2]) {
    let (mut server, now) = (
        server(|config| {
            config.scram_iterations = 1;
            config.add_admin("juliet").unwrap();
        }),
        Now::default(),
    );
    for name in ["romeo", "juliet", "nurse"] {
        server.add_account(name, "secret").unwrap();
    }
    server.subscribe("romeo", "juliet").unwrap();
    server.subscribe("juliet", "romeo").unwrap();
    let streams = ["romeo", "juliet"].map(|name| {
        let id = server.open(Opening::client(Peer::default()), now).unwrap();
        let login = format!(
            "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>\
             <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>{name}</username>\
             <password>secret</password><resource>x</resource></query></iq>\
             <iq type='get' id='2'><query xmlns='jabber:iq:roster'/></iq><presence/>"
        );
        server.receive(id, login.as_bytes(), now);
        id
    });
    for id in streams {
        heard(&mut server, id);
    }
    (server, streams)
}

fn heard(server: &mut Server, id: StreamId) -> String {
    let mut flush = server.flush(Now::default()).unwrap();
    while flush.next().is_some() {}
    let text = String::from_utf8_lossy(flush.outgoing(id).bytes).into_owned();
    flush.sent(id, text.len());
    text
}

fn states(server: &Server) -> [Option<Subscription>; 2] {
    [("romeo", "juliet@localhost"), ("juliet", "romeo@localhost")]
        .map(|(owner, contact)| server.tables.accounts.contact(owner.into(), contact).map(|c| c.subscription))
}

/// Else a kill between the two would lose what was acknowledged to its sender.
#[test]
fn that_a_message_waits_no_longer_is_recorded_after_it_was_sent() {
    const AWAY: &str = "<presence type='unavailable'/><message to='romeo@localhost'><body>1</body></message>";
    for removed in [false, true] {
        let (mut server, [romeo, _]) = house();
        let (diary, now) = (Arc::new(Mutex::new(Vec::new())), Now::default());
        server.tables.recorder =
            Some(Box::new(Diary { left: usize::MAX, fails: false, entries: diary.clone() }));
        server.receive(romeo, AWAY.as_bytes(), now);
        heard(&mut server, romeo);
        server.receive(romeo, b"<presence/>", now);
        if removed {
            server.remove_account("romeo", now).unwrap();
            server.add_account("romeo", "secret").unwrap();
        }
        diary.lock().unwrap().clear();
        let mut flush = server.flush(now).unwrap();
        while flush.next().is_some() {}
        let text = String::from_utf8_lossy(flush.outgoing(romeo).bytes).into_owned();
        assert_eq!(text.matches("<body>1</body>").count(), 1);
        flush.sent(romeo, text.len());
        assert_eq!(*diary.lock().unwrap(), ["commit"]);
        drop(flush);
        let sent = diary.lock().unwrap().iter().filter(|entry| **entry == "it was sent").count();
        assert_eq!(sent, usize::from(!removed), "{:?}", diary.lock().unwrap());
        server.receive(romeo, b"<presence type='unavailable'/><presence/>", now);
        assert!(!heard(&mut server, romeo).contains("<body>"), "it came twice");
    }
}

#[test]
fn what_was_not_handed_out_was_not_sent() {
    let (mut server, [romeo, _]) = house();
    let (diary, now) = (Arc::new(Mutex::new(Vec::new())), Now::default());
    server.tables.recorder = Some(Box::new(Diary { left: usize::MAX, fails: false, entries: diary.clone() }));
    const AWAY: &str = "<presence type='unavailable'/><message to='romeo@localhost'><body>1</body></message>";
    server.receive(romeo, format!("{AWAY}<presence/>").as_bytes(), now);
    let was_sent = || diary.lock().unwrap().contains(&"it was sent");
    drop(server.flush(now).unwrap());
    server.commit(now).unwrap();
    server.sync().unwrap();
    assert!(!was_sent());
    assert_eq!(server.next_deadline(), Some(Duration::ZERO), "it is still to be sent");
    heard(&mut server, romeo);
    assert!(was_sent());
    assert_eq!(server.next_deadline().filter(Duration::is_zero), None);
}

#[test]
fn without_a_commit_there_is_nothing_to_send() {
    let (mut server, [romeo, _]) = house();
    server.tables.recorder = Some(Box::new(Diary { fails: true, left: usize::MAX, ..Diary::default() }));
    server.receive(
        romeo,
        b"<iq type='get' id='9' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        Now::default(),
    );
    assert!(server.flush(Now::default()).is_err());
    server.tables.recorder = None;
    assert!(heard(&mut server, romeo).contains("id='9'"), "it waits");
}

/// A way to remove something, asked for on one of the two streams. `false` if it was refused with
/// `resource-constraint`, and the stream went on.
type Way = fn(&mut Server, [StreamId; 2]) -> bool;

/// XEP-0077 3.2.
fn by_itself(server: &mut Server, [romeo, _]: [StreamId; 2]) -> bool {
    const END: &str = "<iq type='set' id='3'><query xmlns='jabber:iq:register'><remove/></query></iq>";
    server.receive(romeo, END.as_bytes(), Now::default());
    let heard = heard(server, romeo);
    let refused = heard.contains("<resource-constraint ");
    assert_eq!(refused, !heard.contains("</s:stream>") && !heard.contains("</stream:stream>"), "{heard}");
    !refused
}

fn by_the_host_program(server: &mut Server, _: [StreamId; 2]) -> bool {
    match server.remove_account("romeo", Now::default()) {
        Err(error) => error != AccountError::NotRecorded,
        Ok(()) => true,
    }
}

/// XEP-0133 4.2, with the nurse beside him.
fn by_the_administrator(server: &mut Server, [_, juliet]: [StreamId; 2]) -> bool {
    const COMMAND: &str = "<command xmlns='http://jabber.org/protocol/commands' \
                           node='http://jabber.org/protocol/admin#delete-user'";
    let mut ask = |rest: &str| {
        let request = format!("<iq type='set' id='3' to='localhost'>{COMMAND} {rest}</iq>");
        server.receive(juliet, request.as_bytes(), Now::default());
        heard(server, juliet)
    };
    let form = ask("/>");
    let (_, session) = form.split_once("sessionid='").unwrap();
    let session = session.split_once('\'').unwrap().0;
    let heard = ask(&format!(
        "sessionid='{session}'><x xmlns='jabber:x:data' type='submit'><field var='accountjids'>\
         <value>romeo@localhost</value><value>nurse@localhost</value><value>romeo@localhost</value>\
         </field></x></command>"
    ));
    !heard.contains("<resource-constraint ")
}

/// RFC 6121 2.5.2.
fn from_the_roster(server: &mut Server, [romeo, _]: [StreamId; 2]) -> bool {
    const REMOVE: &str = "<iq type='set' id='3'><query xmlns='jabber:iq:roster'>\
                          <item jid='juliet@localhost' subscription='remove'/></query></iq>";
    server.receive(romeo, REMOVE.as_bytes(), Now::default());
    let heard = heard(server, romeo);
    let refused = heard.contains("<resource-constraint ");
    assert_eq!(refused, !heard.contains("unavailable"), "{heard}");
    !refused
}

#[test]
fn a_removal_is_recorded_whole_before_anybody_is_told() {
    let ways: [(Way, usize); 4] =
        [(by_itself, 2), (by_the_host_program, 2), (by_the_administrator, 3), (from_the_roster, 2)];
    for (number, (remove, changes)) in ways.into_iter().enumerate() {
        let (mut server, [romeo, juliet]) = house();
        for left in 0..changes {
            server.tables.recorder = forgetful(left);
            assert!(!remove(&mut server, [romeo, juliet]), "way {number}, after {left}");
            let both = Some(Subscription::Both);
            assert_eq!(states(&server), [both, both], "way {number}, after {left}");
            let told = [romeo, juliet].map(|id| heard(&mut server, id));
            assert_eq!(told, ["", ""], "way {number}, after {left}");
            assert_eq!((server.status().sessions, server.status().accounts), (2, 3));
        }
        server.tables.recorder = forgetful(changes);
        assert!(remove(&mut server, [romeo, juliet]), "way {number}");
        assert_eq!(states(&server), [None, Some(Subscription::None)], "way {number}");
    }
}

#[test]
fn what_cannot_be_recorded_is_not_in_the_roster_either() {
    const SET: &str =
        "<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost'/></query></iq>";
    const REMOVE: &str = "<iq type='set' id='3'><query xmlns='jabber:iq:roster'>\
                          <item jid='juliet@localhost' subscription='remove'/></query></iq>";
    let (heard, states) = forgets_after(0, "", SET);
    assert!(heard.contains("<resource-constraint ") && states == [None, None], "{heard}");
    let (heard, states) = forgets_after(0, SET, REMOVE);
    assert!(heard.contains("<resource-constraint "), "{heard}");
    assert_eq!(states, [Some(Subscription::None), None]);
    const END: &str = "<iq type='set' id='4'><query xmlns='jabber:iq:register'><remove/></query></iq>";
    let (heard, states) = forgets_after(0, SET, END);
    assert!(heard.contains("<resource-constraint ") && !heard.contains("</stream:stream>"), "{heard}");
    assert_eq!(states, [Some(Subscription::None), None]);
}
