//! The process is killed in the midst of work, again and again: what was acknowledged is there afterwards, what was
//! asked for and not answered happened whole or not at all, in the order in which it was asked for, and nothing else
//! has changed.
//!
//! To add a kind of change: a function in [`KINDS`], what it changes in [`Account`], and how that is looked at in
//! [`Account::found`]. The run with `LOQUAT_LONG_TESTS=1` is the one that the README speaks of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use super::client::{fits, registration, Client};
use super::process::{printed, Place, Server};

/// What a client knows of an account.
#[derive(Debug, Clone, Default, PartialEq)]
struct Account {
    name: String,
    /// None if it is not there.
    password: Option<String>,
    /// The contacts in its roster, and what they are called.
    contacts: BTreeMap<String, String>,
    /// Whom it has blocked.
    blocked: BTreeSet<String>,
    /// The messages that wait for it, oldest first.
    messages: Vec<String>,
}

/// A change of an account, as it is asked for.
struct Request {
    from: From,
    text: String,
    acknowledged: Acknowledged,
    /// How the account is after each part of it, one after the other; after the last one when it is acknowledged.
    states: Vec<Account>,
}

/// Over whose stream it is asked for.
#[derive(PartialEq)]
enum From {
    Nobody,
    Itself,
    /// One who writes messages to all accounts.
    Postman,
}

/// How one knows that it was done.
enum Acknowledged {
    /// By a result with the id `change`.
    Result,
    /// By the number of stanzas that the server has acted upon (XEP-0198 section 4).
    Count,
    /// By a result with the id `change`, behind the messages that waited.
    Messages,
}

/// The request of the n-th change of an account; none if it cannot be now.
type Kind = fn(&Account, usize) -> Option<Request>;

/// Their number and [`NAMES`] have no common divisor, so in time each befalls each account.
const KINDS: &[Kind] = &[
    register,
    change_password,
    set_contact,
    write_to,
    remove_contact,
    block,
    set_contact,
    write_to_and_count,
    collect,
    unblock,
    change_password,
    remove,
];

/// How many names an actor's accounts have.
const NAMES: usize = 41;

const PING: &str = "<iq type='get' id='change'><ping xmlns='urn:xmpp:ping'/></iq>";

/// Passwords are long, so that journals are, too, and snapshots come.
fn password(n: usize) -> String {
    format!("{n}-{}", "x".repeat(900))
}

fn by_itself(account: &Account, text: String, new: Account) -> Option<Request> {
    let from = if account.password.is_some() { From::Itself } else { From::Nobody };
    Some(Request { from, text, acknowledged: Acknowledged::Result, states: vec![new] })
}

fn register(account: &Account, n: usize) -> Option<Request> {
    let new = Account { password: Some(password(n)), ..account.clone() };
    let text = registration("change", &account.name, &password(n));
    by_itself(account, text, new).filter(|_| account.password.is_none())
}

fn change_password(account: &Account, n: usize) -> Option<Request> {
    let new = Account { password: Some(password(n)), ..account.clone() };
    let text = registration("change", &account.name, &password(n));
    by_itself(account, text, new).filter(|_| account.password.is_some())
}

/// RFC 6121 2.3 and 2.4: a contact is added, or is called something else from now on.
fn set_contact(account: &Account, n: usize) -> Option<Request> {
    account.password.as_ref()?;
    let mut new = account.clone();
    let contact = format!("friend{}@elsewhere.example", n % 5);
    let text = roster_set(&format!("<item jid='{contact}' name='名{n}'/>"));
    new.contacts.insert(contact, format!("名{n}"));
    by_itself(account, text, new)
}

/// RFC 6121 2.5.
fn remove_contact(account: &Account, n: usize) -> Option<Request> {
    let mut new = account.clone();
    let contact = account.contacts.keys().nth(n % account.contacts.len().max(1))?;
    new.contacts.remove(contact);
    by_itself(account, roster_set(&format!("<item jid='{contact}' subscription='remove'/>")), new)
}

fn roster_set(item: &str) -> String {
    format!("<iq type='set' id='change'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
}

/// XEP-0191 3.3: two at once.
fn block(account: &Account, n: usize) -> Option<Request> {
    account.password.as_ref()?;
    let mut new = account.clone();
    let addresses = [n, n + 1].map(|n| format!("bore{}@elsewhere.example", n % 7));
    let items: String = addresses.iter().map(|address| format!("<item jid='{address}'/>")).collect();
    new.blocked.extend(addresses);
    let text = format!("<iq type='set' id='change'><block xmlns='urn:xmpp:blocking'>{items}</block></iq>");
    by_itself(account, text, new)
}

/// XEP-0191 3.5: all of them.
fn unblock(account: &Account, _: usize) -> Option<Request> {
    let new = Account { blocked: BTreeSet::new(), ..account.clone() };
    let text = "<iq type='set' id='change'><unblock xmlns='urn:xmpp:blocking'/></iq>";
    by_itself(account, text.to_owned(), new).filter(|_| !account.blocked.is_empty())
}

/// XEP-0160: nobody is there, so the messages wait. That they do is certain once something behind them is answered.
fn write_to(account: &Account, n: usize) -> Option<Request> {
    let (messages, states) = messages(account, n)?;
    let text = messages + PING;
    Some(Request { from: From::Postman, text, acknowledged: Acknowledged::Result, states })
}

/// The same on a stream with acknowledgements.
fn write_to_and_count(account: &Account, n: usize) -> Option<Request> {
    let (messages, states) = messages(account, n)?;
    let text = format!("<enable xmlns='urn:xmpp:sm:3'/>{messages}<r xmlns='urn:xmpp:sm:3'/>");
    Some(Request { from: From::Postman, text, acknowledged: Acknowledged::Count, states })
}

/// Up to three messages in one write, and how the account is after each.
fn messages(account: &Account, n: usize) -> Option<(String, Vec<Account>)> {
    account.password.as_ref()?;
    let (mut text, mut states, mut new) = (String::new(), Vec::new(), account.clone());
    for number in 0..n % 3 + 1 {
        let body = format!("{n}.{number} 你好");
        text +=
            &format!("<message type='chat' to='{}@localhost'><body>{body}</body></message>", account.name);
        new.messages.push(body);
        states.push(new.clone());
    }
    Some((text, states))
}

/// Somebody is there, and gets what waited. Who is not asked to acknowledge it has got it once it was sent.
fn collect(account: &Account, _: usize) -> Option<Request> {
    let new = Account { messages: Vec::new(), ..account.clone() };
    let text = format!("<presence/>{PING}");
    let request =
        Request { from: From::Itself, text, acknowledged: Acknowledged::Messages, states: vec![new] };
    Some(request).filter(|_| !account.messages.is_empty())
}

/// XEP-0077 3.2. Now and then, so that accounts grow old.
fn remove(account: &Account, n: usize) -> Option<Request> {
    let request = "<iq type='set' id='change'><query xmlns='jabber:iq:register'><remove/></query></iq>";
    let new = Account { name: account.name.clone(), ..Account::default() };
    by_itself(account, request.to_owned(), new).filter(|_| account.password.is_some() && n % 3 == 0)
}

impl Account {
    /// What the server has of an account that is in one of these states. Messages that waited do so no longer.
    fn found(address: SocketAddr, names: &[&str], states: &[Self]) -> Self {
        let name = states[0].name.clone();
        if !names.contains(&name.as_str()) {
            return Self { name, ..Self::default() };
        }
        let mut passwords = states.iter().filter_map(|state| state.password.as_ref());
        let password = passwords.find(|password| fits(address, &name, password));
        let password = password.unwrap_or_else(|| panic!("{name} does not get in: {states:?}")).clone();
        let mut client = Client::connect(address).unwrap();
        assert_eq!(client.log_in(&name, &password), Some(true), "{name}");
        let roster =
            client.ask("roster", "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>");
        let blocked =
            client.ask("blocks", "<iq type='get' id='blocks'><blocklist xmlns='urn:xmpp:blocking'/></iq>");
        let messages = bodies(&client.ask("change", &format!("<presence/>{PING}")).unwrap());
        let contacts =
            items(&roster.unwrap()).map(|item| (value(item, "jid"), value(item, "name"))).collect();
        let blocked = items(&blocked.unwrap()).map(|item| value(item, "jid")).collect();
        Self { name, password: Some(password), contacts, blocked, messages }
    }
}

fn bodies(heard: &str) -> Vec<String> {
    heard.split("<body>").skip(1).map(|rest| rest.split_once("</body>").unwrap().0.to_owned()).collect()
}

fn items(answer: &str) -> impl Iterator<Item = &str> {
    answer.split("<item").skip(1)
}

/// The value of an attribute.
fn value(item: &str, name: &str) -> String {
    let (_, value) = item.split_once(&format!(" {name}='")).unwrap();
    value.split_once('\'').unwrap().0.to_owned()
}

/// One who changes its own accounts until the server is gone.
struct Actor {
    number: usize,
    accounts: BTreeMap<String, Account>,
    changes: usize,
    /// What was asked for when the server went: the account as it may be now as well.
    open: Vec<Account>,
    /// An account before it got the messages that waited for it, if nothing was acknowledged since then: they may come
    /// again.
    got: Option<Account>,
    /// The accounts that were changed since the last look.
    touched: BTreeSet<String>,
    /// Messages that were sent when the server went, to one who has not got them.
    underway: usize,
}

impl Actor {
    fn new(number: usize) -> Self {
        Self {
            number,
            accounts: BTreeMap::new(),
            changes: 0,
            open: Vec::new(),
            got: None,
            touched: BTreeSet::new(),
            underway: 0,
        }
    }

    fn act(&mut self, address: SocketAddr) {
        while self.change(address).is_some() {}
    }

    /// Asks for one change. `None` if the server is gone.
    fn change(&mut self, address: SocketAddr) -> Option<()> {
        self.changes += 1;
        let n = self.changes;
        let name = format!("actor{}-{}", self.number, n * 7919 % NAMES);
        let unknown = Account { name: name.clone(), ..Account::default() };
        let account = self.accounts.entry(name.clone()).or_insert(unknown).clone();
        let kinds = (0..KINDS.len()).map(|i| KINDS[(n + i) % KINDS.len()]);
        let request = kinds.into_iter().find_map(|kind| kind(&account, n)).unwrap();
        let mut client = Client::connect(address)?;
        let logged_in = match (&request.from, &account.password) {
            (From::Itself, Some(password)) => client.log_in(&name, password)?,
            (From::Postman, _) => client.log_in_as("postman", &format!("r{}", self.number), "secret")?,
            _ => true,
        };
        assert!(logged_in, "{name} does not get in");
        self.touched.insert(name.clone());
        self.open = request.states.clone();
        client.say(&request.text);
        hear(&mut client, &request, &account)?;
        self.got = matches!(request.acknowledged, Acknowledged::Messages).then_some(account);
        self.accounts.extend(self.open.pop().map(|new| (name, new)));
        self.open.clear();
        Some(())
    }

    /// Looks whether the server has it all; at everything, or at what was changed lately.
    fn check(&mut self, address: SocketAddr, names: &[&str], everything: bool) {
        let mut open = std::mem::take(&mut self.open);
        open.extend(self.got.take());
        let touched = std::mem::take(&mut self.touched);
        for (name, account) in &mut self.accounts {
            if !everything && !touched.contains(name) {
                continue;
            }
            let mut states = vec![account.clone()];
            states.extend(open.iter().filter(|open| open.name == *name).cloned());
            let found = Account::found(address, names, &states);
            assert!(states.contains(&found), "{name} is neither of {states:#?}, but {found:#?}");
            if found.password.is_some() {
                self.underway += account.messages.len().saturating_sub(found.messages.len());
            }
            *account = Account { messages: Vec::new(), ..found };
        }
    }
}

/// Waits until a request of an account is acknowledged. `None` if the server is gone.
fn hear(client: &mut Client, request: &Request, account: &Account) -> Option<()> {
    let answer = match request.acknowledged {
        Acknowledged::Count => {
            let answer = client.hear("<a ").and_then(|_| client.hear("/>"))?;
            assert!(answer.contains(&format!("h='{}'", request.states.len())), "{answer}");
            return Some(());
        }
        Acknowledged::Result | Acknowledged::Messages => client.answer("change")?,
    };
    assert!(answer.contains("type='result'"), "{answer}");
    if let Acknowledged::Messages = request.acknowledged {
        assert_eq!(bodies(&answer), account.messages, "{answer}");
    }
    Some(())
}

#[test]
fn the_server_is_killed() {
    let kills = if std::env::var_os("LOQUAT_LONG_TESTS").is_some() { 400 } else { 20 };
    let place = Place::new();
    printed(&place.data(), "secret\n", &["user", "add", "postman"]);
    let mut actors: Vec<Actor> = (0..8).map(Actor::new).collect();
    for kill in 0..kills {
        let durability = ["always", "1", "never"][kill % 3];
        let server = Server::start(&place, &["--durability", durability]);
        check(&mut actors, &place, &server, kill % 50 == 49);
        let address = server.address;
        thread::scope(|scope| {
            for actor in &mut actors {
                scope.spawn(move || actor.act(address));
            }
            thread::sleep(Duration::from_millis(20 + (kill as u64 * 37) % 150));
            server.kill();
        });
    }
    let server = Server::start(&place, &[]);
    check(&mut actors, &place, &server, true);
    let changes: usize = actors.iter().map(|actor| actor.changes).sum();
    let underway: usize = actors.iter().map(|actor| actor.underway).sum();
    eprintln!("{kills} kills in {changes} changes; {underway} messages were under way to one who was there");
    assert!(changes > kills * 8);
}

fn check(actors: &mut [Actor], place: &Place, server: &Server, everything: bool) {
    let names = printed(&place.data(), "", &["user", "list"]);
    let names: Vec<&str> = names.lines().collect();
    for actor in actors {
        actor.check(server.address, &names, everything);
    }
}
