//! Messages by chance: whatever people do, each message is delivered, kept or refused, and only one of these; it
//! reaches nobody whom it is not for; what was kept comes later, once, in order; and what was not acknowledged is not
//! lost.
//!
//! The first test knows the table of RFC 6121 8.5.4 and holds the server to it; the numbers that look like chance come
//! again with their seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // it is how a test fails

use std::collections::VecDeque;
use std::time::Duration;

use loquat::xml::{Element, Item, Reader, XmlLimits};
use loquat::{Config, Now, Opening, Peer, Server, StreamId};

const CLIENT: &str = "jabber:client";
const HINTS: &str = "urn:xmpp:hints";
const CARBONS: &str = "urn:xmpp:carbons:2";
const BLOCKING: &str = "urn:xmpp:blocking";

const USERS: [&str; 3] = ["romeo", "juliet", "用户"];
const RESOURCES: [&str; 4] = ["a", "b", "c", "d"];
const KINDS: [&str; 5] = ["normal", "chat", "groupchat", "headline", "error"];

/// The most messages that wait for one account here.
const MOST: usize = 6;

/// Xorshift.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.throw(choices.len())]
    }
}

/// A client, and what it has got since somebody looked.
struct Client {
    id: StreamId,
    user: &'static str,
    resource: String,
    priority: Option<i8>,
    carbons: bool,
    reader: Reader,
    got: Vec<Element>,
}

impl Client {
    fn is(&self, user: &str, resource: &str) -> bool {
        self.user == user && self.resource == resource
    }

    fn is_willing(&self) -> bool {
        self.priority.is_some_and(|priority| priority >= 0)
    }

    fn address(&self) -> String {
        format!("{}@localhost/{}", self.user, self.resource)
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
        while let Some(item) = self.reader.next_item().unwrap() {
            match item {
                Item::Header(_) => (),
                Item::Stanza(stanza) => self.got.push(stanza),
                Item::Close => panic!("{} is thrown out: {}", self.address(), self.got.last().unwrap()),
            }
        }
    }
}

struct World {
    server: Server,
    now: Now,
    clients: Vec<Client>,
    /// Who has blocked whom.
    blocks: Vec<(&'static str, &'static str)>,
}

impl World {
    fn new(most: usize) -> Self {
        let mut config = Config::new("localhost").unwrap();
        config.scram_iterations = 1;
        config.ping_interval = None; // nobody here answers
        config.limits.offline_messages = most;
        let mut number = 0u64;
        let random = move |bytes: &mut [u8]| {
            number += 1;
            bytes.fill(0);
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            Ok(())
        };
        let mut server = Server::new(config, Box::new(random)).unwrap();
        USERS.iter().for_each(|user| server.add_account(user, "secret").unwrap());
        Self { server, now: Now::default(), clients: Vec::new(), blocks: Vec::new() }
    }

    fn enter(&mut self, user: &'static str, resource: &str) -> usize {
        let id = self.server.open(Opening::client(Peer::default()), self.now).unwrap();
        let reader = Reader::new(XmlLimits::default());
        let resource = resource.to_owned();
        let client = Client { id, user, resource, priority: None, carbons: false, reader, got: Vec::new() };
        self.clients.push(client);
        let who = self.clients.len() - 1;
        self.say(who, &format!(
            "<stream:stream xmlns='{CLIENT}' xmlns:stream='http://etherx.jabber.org/streams'><iq type='set' id='1'>\
             <query xmlns='jabber:iq:auth'><username>{user}</username><password>secret</password>\
             <resource>{}</resource></query></iq>",
            self.clients[who].resource,
        ));
        assert_eq!(self.clients[who].got.remove(0).attr("type"), Some("result"));
        who
    }

    fn leave(&mut self, who: usize) {
        let id = self.clients.remove(who).id;
        self.server.hung_up(id, self.now);
        self.carry();
    }

    fn say(&mut self, who: usize, text: &str) {
        self.server.receive(self.clients[who].id, text.as_bytes(), self.now);
        self.carry();
    }

    fn set_priority(&mut self, who: usize, priority: Option<i8>) {
        self.clients[who].priority = priority;
        match priority {
            Some(priority) => {
                self.say(who, &format!("<presence><priority>{priority}</priority></presence>"));
            }
            None => self.say(who, "<presence type='unavailable'/>"),
        }
    }

    /// Blocks another user, or all no longer.
    fn block(&mut self, who: usize, whom: Option<&'static str>) {
        let user = self.clients[who].user;
        let command = match whom {
            Some(whom) => {
                self.blocks.push((user, whom));
                format!("<block xmlns='{BLOCKING}'><item jid='{whom}@localhost'/></block>")
            }
            None => {
                self.blocks.retain(|(blocker, _)| *blocker != user);
                format!("<unblock xmlns='{BLOCKING}'/>")
            }
        };
        self.say(who, &format!("<iq type='set' id='b'>{command}</iq>"));
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.since_1970 += time;
        self.carry();
    }

    /// Brings everybody what the server has for them.
    fn carry(&mut self) {
        let mut flush = self.server.flush(self.now).unwrap();
        while let Some((id, outgoing)) = flush.next() {
            let bytes = outgoing.bytes.to_vec();
            flush.sent(id, bytes.len());
            if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
                client.hear(&bytes);
            }
        }
    }

    fn forget(&mut self) {
        self.clients.iter_mut().for_each(|client| client.got.clear());
    }

    /// The messages that each has got, with a word for what they are.
    fn messages(&self) -> Vec<(usize, &'static str, &Element)> {
        let all = self.clients.iter().enumerate().flat_map(|(who, client)| {
            client.got.iter().filter(|stanza| stanza.is("message", CLIENT)).map(move |stanza| (who, stanza))
        });
        all.map(|(who, stanza)| (who, what(stanza), stanza)).collect()
    }
}

fn what(message: &Element) -> &'static str {
    if message.child("error", CLIENT).is_some() {
        "refused"
    } else if message.children().any(|child| child.ns() == CARBONS) {
        "copied"
    } else if message.child("delay", "urn:xmpp:delay").is_some() {
        "kept"
    } else {
        "delivered"
    }
}

/// What may be thrown for a message.
struct Message {
    id: String,
    kind: &'static str,
    user: &'static str,
    resource: Option<&'static str>,
    content: &'static str,
    hint: &'static str,
}

impl Message {
    fn by_chance(dice: &mut Dice, number: usize) -> Self {
        let resource = RESOURCES[dice.throw(RESOURCES.len())];
        Self {
            id: format!("m{number}"),
            kind: KINDS[dice.throw(KINDS.len())],
            user: if dice.throw(20) == 0 { "nobody" } else { USERS[dice.throw(USERS.len())] },
            resource: (dice.throw(2) == 0).then_some(resource),
            content: dice.one_of(&[
                "<body>你好</body>",
                "<body>x</body>",
                "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            ]),
            hint: dice.one_of(&["", "", "", "store", "no-store", "no-copy"]),
        }
    }

    fn text(&self) -> String {
        let Self { id, kind, user, content, hint, .. } = self;
        let to = self.resource.map_or(String::new(), |resource| format!("/{resource}"));
        let hint = if hint.is_empty() { String::new() } else { format!("<{hint} xmlns='{HINTS}'/>") };
        format!("<message id='{id}' type='{kind}' to='{user}@localhost{to}'>{content}{hint}</message>")
    }

    fn is_kept(&self) -> bool {
        self.hint != "no-store" && (self.hint == "store" || self.content.contains("body"))
    }

    fn is_copied(&self) -> bool {
        let is_im = self.content.contains("composing");
        let kind = match self.kind {
            "chat" | "normal" => true,
            "headline" => is_im,
            _ => false,
        };
        kind && self.hint != "no-copy"
    }
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// These get it.
    Delivered(Vec<usize>),
    Kept,
    Refused,
    Dropped,
}

/// RFC 6121 8.5.4, table 1, where a choice is left: what cannot be delivered is refused.
fn fate(world: &World, author: usize, message: &Message, waiting: usize) -> Fate {
    let author = world.clients[author].user;
    if world.blocks.contains(&(author, message.user)) || world.blocks.contains(&(message.user, author)) {
        // XEP-0191 3.3; an error is never answered.
        return if message.kind == "error" { Fate::Dropped } else { Fate::Refused };
    }
    let willing: Vec<usize> = (0..world.clients.len())
        .filter(|&who| world.clients[who].user == message.user && world.clients[who].is_willing())
        .collect();
    let resource = message.resource.unwrap_or_default();
    let matched = world.clients.iter().position(|client| client.is(message.user, resource));
    let row = match (message.resource, matched, willing.len()) {
        _ if message.user == "nobody" => "E E E E S",
        (None, _, 0) => "O O E S S",
        (None, _, _) => "M M E A S",
        (Some(_), Some(_), _) => "D D D D D",
        (Some(_), None, 0) => "E O E E S",
        (Some(_), None, _) => "E M E E S",
    };
    let column = KINDS.iter().position(|kind| *kind == message.kind).unwrap();
    match row.split(' ').nth(column).unwrap() {
        "D" => Fate::Delivered(matched.into_iter().collect()),
        "M" => {
            let highest = willing.iter().map(|&who| world.clients[who].priority).max().unwrap();
            let is_highest = |who: &usize| world.clients[*who].priority == highest;
            Fate::Delivered(willing.into_iter().filter(is_highest).collect())
        }
        "A" => Fate::Delivered(willing),
        // XEP-0334 4.4: it asks to be kept nevertheless.
        "S" if (message.kind, message.hint) == ("headline", "store") => kept(message, waiting),
        "S" => Fate::Dropped,
        "O" => kept(message, waiting),
        _ => Fate::Refused,
    }
}

fn kept(message: &Message, waiting: usize) -> Fate {
    if message.is_kept() && waiting < MOST {
        Fate::Kept
    } else {
        Fate::Refused
    }
}

/// Holds that what came after a message is what should have.
fn check(world: &World, author: usize, message: &Message, fate: &Fate) {
    let (delivered, refused) = match fate {
        Fate::Delivered(whom) => (whom.as_slice(), false),
        Fate::Refused => (&[][..], true),
        Fate::Kept | Fate::Dropped => (&[][..], false),
    };
    let arrived = matches!(fate, Fate::Delivered(_) | Fate::Kept);
    let writer = &world.clients[author];
    let mut wanted = Vec::new();
    for (who, client) in world.clients.iter().enumerate() {
        wanted.extend(delivered.contains(&who).then_some((who, "delivered")));
        wanted.extend((refused && who == author).then_some((who, "refused")));
        // What is dropped has been sent as far as its author knows.
        let sent = !refused && message.user != writer.user;
        let is_of_either = client.user == message.user && arrived || client.user == writer.user && sent;
        let has_it = who == author || delivered.contains(&who);
        let copied = message.is_copied() && client.carbons && is_of_either && !has_it;
        wanted.extend(copied.then_some((who, "copied")));
    }
    let mut got: Vec<(usize, &str)> = world.messages().iter().map(|&(who, what, _)| (who, what)).collect();
    got.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(got, wanted, "{} from {}: {fate:?}", message.text(), writer.address());
    for (_, what, stanza) in world.messages() {
        let inner = stanza.children().find_map(|child| child.child("forwarded", "urn:xmpp:forward:0"));
        let message_itself = inner.and_then(|inner| inner.child("message", CLIENT)).unwrap_or(stanza);
        assert_eq!(message_itself.attr("id"), Some(message.id.as_str()), "{what}");
        let from = if what == "refused" { message_itself.attr("to") } else { message_itself.attr("from") };
        assert_eq!(from, Some(writer.address().as_str()), "{what}");
    }
}

/// A message that waits: its author and its id.
type Waiting = (&'static str, String);

/// Holds that whoever has become available has got all that waited, in order, but for what a blocked one had written;
/// and nobody else anything.
fn check_kept(world: &World, who: usize, waiting: &mut VecDeque<Waiting>) {
    let got: Vec<(usize, &str, Option<&str>)> =
        world.messages().iter().map(|&(who, what, stanza)| (who, what, stanza.attr("id"))).collect();
    let due = if world.clients[who].is_willing() { std::mem::take(waiting) } else { VecDeque::new() };
    let is_blocked = |author| world.blocks.contains(&(world.clients[who].user, author));
    let due = due.iter().filter(|(author, _)| !is_blocked(author));
    let wanted: Vec<_> = due.map(|(_, id)| (who, "kept", Some(id.as_str()))).collect();
    assert_eq!(got, wanted, "for {}", world.clients[who].address());
}

fn play(seed: u64) -> [usize; 4] {
    let (mut dice, mut world) = (Dice::new(seed), World::new(MOST));
    let mut waiting: [VecDeque<Waiting>; 3] = Default::default();
    let mut fates = [0; 4];
    for number in 0..200 {
        world.forget();
        let (user, resource) = (dice.throw(USERS.len()), RESOURCES[dice.throw(RESOURCES.len())]);
        let there = world.clients.iter().position(|client| client.is(USERS[user], resource));
        let Some(who) = there else {
            let who = world.enter(USERS[user], resource);
            if dice.throw(3) == 0 {
                let priority = i8::try_from(dice.throw(5)).unwrap() - 2;
                world.set_priority(who, Some(priority));
                check_kept(&world, who, &mut waiting[user]);
            }
            continue;
        };
        match dice.throw(11) {
            0 | 1 => world.leave(who),
            2 | 3 => {
                let priority = [None, Some(-2), Some(-1), Some(0), Some(1), Some(2)][dice.throw(6)];
                world.set_priority(who, priority);
                check_kept(&world, who, &mut waiting[user]);
            }
            4 => {
                world.clients[who].carbons = dice.throw(3) > 0;
                let word = if world.clients[who].carbons { "enable" } else { "disable" };
                world.say(who, &format!("<iq type='set' id='c'><{word} xmlns='{CARBONS}'/></iq>"));
            }
            5 => {
                let whom = USERS[dice.throw(USERS.len())];
                world.block(who, Some(whom).filter(|_| whom != USERS[user] && dice.throw(2) == 0));
            }
            _ => {
                let message = Message::by_chance(&mut dice, number);
                let place = USERS.iter().position(|user| *user == message.user);
                let fate = fate(&world, who, &message, place.map_or(0, |place| waiting[place].len()));
                world.say(who, &message.text());
                check(&world, who, &message, &fate);
                let (index, is_kept) = match fate {
                    Fate::Delivered(_) => (0, false),
                    Fate::Kept => (1, true),
                    Fate::Refused => (2, false),
                    Fate::Dropped => (3, false),
                };
                fates[index] += 1;
                if is_kept {
                    waiting[place.unwrap()].push_back((world.clients[who].user, message.id));
                }
            }
        }
    }
    for (user, waiting) in USERS.iter().zip(&mut waiting) {
        world.forget();
        let who = world.enter(user, "the last one");
        world.set_priority(who, Some(0));
        check_kept(&world, who, waiting);
    }
    fates
}

#[test]
fn a_message_has_one_fate() {
    let mut fates = [0; 4];
    for seed in 1..=60 {
        let more = std::panic::catch_unwind(|| play(seed)).unwrap_or_else(|_| panic!("with the seed {seed}"));
        fates.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    assert!(fates.iter().all(|&count| count > 100), "delivered, kept, refused, dropped: {fates:?}");
}

/// What a client of the second test knows: ids that it has got, and those of them that it has acknowledged.
#[derive(Default)]
struct Memory {
    manages: bool,
    count: usize,
    got: Vec<String>,
}

/// Lets everybody take note of what they got. Whoever does not manage a stream has it for good.
fn take_note(world: &mut World, memories: &mut [Memory], safe: &mut Vec<String>) {
    for (client, memory) in world.clients.iter_mut().zip(memories) {
        for stanza in client.got.drain(..).filter(|stanza| stanza.ns() == CLIENT) {
            memory.count += usize::from(memory.manages);
            let id = stanza.attr("id").unwrap_or_default().to_owned();
            match (stanza.is("message", CLIENT), memory.manages) {
                (true, true) => memory.got.push(id),
                (true, false) => safe.push(id),
                (false, _) => (),
            }
        }
    }
}

fn lose_streams(seed: u64) -> (usize, usize) {
    let (mut dice, mut world) = (Dice::new(seed), World::new(usize::MAX));
    let (mut memories, mut safe, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..150 {
        let (user, resource) = (USERS[dice.throw(2)], RESOURCES[dice.throw(3)]);
        match world.clients.iter().position(|client| client.is(user, resource)) {
            // A resource that is taken over while it waits to be resumed is lost as well.
            None => {
                let who = world.enter(user, resource);
                memories.push(Memory::default());
                take_note(&mut world, &mut memories, &mut safe);
                if dice.throw(4) > 0 {
                    memories[who].manages = true;
                    let resume = ["", " resume='true'"][dice.throw(2)];
                    world.say(who, &format!("<enable xmlns='urn:xmpp:sm:3'{resume}/>"));
                }
                world.set_priority(who, Some(i8::try_from(dice.throw(3)).unwrap()));
            }
            Some(who) => match dice.throw(8) {
                0 => {
                    world.leave(who);
                    memories.remove(who);
                }
                1 => world.pass(Duration::from_secs(100)),
                2 | 3 => {
                    let memory: &mut Memory = &mut memories[who];
                    if memory.manages {
                        safe.append(&mut memory.got);
                        world.say(who, &format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", memory.count));
                    }
                }
                _ => {
                    let id = format!("m{number}");
                    let to = USERS[dice.throw(2)];
                    let full = if dice.throw(2) == 0 { "" } else { "/a" };
                    world.say(
                        who,
                        &format!(
                        "<message id='{id}' to='{to}@localhost{full}' type='chat'><body>{id}</body></message>"
                    ),
                    );
                    written.push(id);
                }
            },
        }
        take_note(&mut world, &mut memories, &mut safe);
    }
    // All streams are lost, and somebody comes to look.
    while !world.clients.is_empty() {
        world.leave(0);
        memories.remove(0);
        take_note(&mut world, &mut memories, &mut safe);
    }
    world.pass(Duration::from_secs(1000));
    for user in &USERS[..2] {
        let who = world.enter(user, "the last one");
        world.set_priority(who, Some(0));
    }
    let mut last = [Memory::default(), Memory::default()];
    take_note(&mut world, &mut last, &mut safe);
    let lost: Vec<&String> = written.iter().filter(|id| !safe.contains(id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    (written.len(), safe.len())
}

#[test]
fn what_is_not_acknowledged_is_not_lost() {
    let (mut written, mut got) = (0, 0);
    for seed in 1..=60 {
        let (w, g) = std::panic::catch_unwind(|| lose_streams(seed))
            .unwrap_or_else(|_| panic!("with the seed {seed}"));
        written += w;
        got += g;
    }
    assert!(written > 1_000, "{written} messages, and {got} times somebody got one");
}
