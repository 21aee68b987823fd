//! The process is killed in the midst of work, again and again: what was acknowledged is there afterwards, what was asked
//! for and not answered happened whole or not at all, and nothing else has changed.
//!
//! To add a kind of change: a function in [`KINDS`], what it changes in [`Account`], and how that is looked at in
//! [`Account::is_there`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use super::client::{fits, registration, Client};
use super::process::{printed, Place, Server};

/// What a client knows of an account.
#[derive(Debug, Clone, PartialEq)]
struct Account {
    name: String,
    /// None if it is not there.
    password: Option<String>,
}

/// The request of the n-th change of an account, and how the account is afterwards; none if it cannot be now. An account
/// that is there asks over its own stream.
type Kind = fn(&Account, usize) -> Option<(String, Account)>;

const KINDS: &[Kind] = &[register, change_password, change_password, change_password, remove];

/// Passwords are long, so that journals are, too, and snapshots come.
fn password(n: usize) -> String {
    format!("{n}-{}", "x".repeat(900))
}

fn register(account: &Account, n: usize) -> Option<(String, Account)> {
    let new = Account { password: Some(password(n)), ..account.clone() };
    account.password.is_none().then(|| (registration("change", &account.name, &password(n)), new))
}

fn change_password(account: &Account, n: usize) -> Option<(String, Account)> {
    let new = Account { password: Some(password(n)), ..account.clone() };
    account.password.is_some().then(|| (registration("change", &account.name, &password(n)), new))
}

/// XEP-0077 3.2. Now and then, so that accounts grow old.
fn remove(account: &Account, n: usize) -> Option<(String, Account)> {
    let request = "<iq type='set' id='change'><query xmlns='jabber:iq:register'><remove/></query></iq>";
    let new = Account { password: None, ..account.clone() };
    (account.password.is_some() && n % 7 == 0).then(|| (request.to_owned(), new))
}

impl Account {
    /// Whether the server has it like this.
    fn is_there(&self, address: SocketAddr, names: &[&str]) -> bool {
        match &self.password {
            None => !names.contains(&self.name.as_str()),
            Some(password) => names.contains(&self.name.as_str()) && fits(address, &self.name, password),
        }
    }
}

/// One who changes its own accounts until the server is gone.
struct Actor {
    number: usize,
    accounts: BTreeMap<String, Account>,
    changes: usize,
    /// What was asked for when the server went: the account as it may be now as well.
    open: Option<Account>,
    /// The accounts that were changed since the last look.
    touched: Vec<String>,
}

impl Actor {
    fn new(number: usize) -> Self {
        Self { number, accounts: BTreeMap::new(), changes: 0, open: None, touched: Vec::new() }
    }

    fn act(&mut self, address: SocketAddr) {
        while self.change(address).is_some() {}
    }

    /// Asks for one change. `None` if the server is gone.
    fn change(&mut self, address: SocketAddr) -> Option<()> {
        self.changes += 1;
        let n = self.changes;
        let name = format!("actor{}-{}", self.number, n * 7919 % 40);
        let unknown = Account { name: name.clone(), password: None };
        let account = self.accounts.entry(name.clone()).or_insert(unknown).clone();
        let kinds = (0..KINDS.len()).map(|i| KINDS[(n + i) % KINDS.len()]);
        let (request, new) = kinds.into_iter().find_map(|kind| kind(&account, n)).unwrap();
        let mut client = Client::connect(address)?;
        if let Some(password) = &account.password {
            assert!(client.log_in(&name, password)?, "{name} does not get in");
        }
        self.touched.push(name.clone());
        self.open = Some(new.clone());
        let answer = client.ask("change", &request)?;
        assert!(answer.contains("type='result'"), "{answer}");
        self.open = None;
        self.accounts.insert(name, new);
        Some(())
    }

    /// Looks whether the server has it all; at everything, or at what was changed lately.
    fn check(&mut self, address: SocketAddr, names: &[&str], everything: bool) {
        let open = self.open.take();
        let touched = std::mem::take(&mut self.touched);
        for (name, account) in &mut self.accounts {
            if !everything && !touched.contains(name) {
                continue;
            }
            if account.is_there(address, names) {
                continue;
            }
            let may_be = open.as_ref().filter(|open| open.name == *name);
            let new = may_be.unwrap_or_else(|| panic!("{name} is not as it was acknowledged: {account:?}"));
            assert!(new.is_there(address, names), "{name} is neither {account:?} nor {new:?}");
            *account = new.clone();
        }
    }
}

#[test]
fn the_server_is_killed() {
    let kills = if std::env::var_os("LOQUAT_LONG_TESTS").is_some() { 400 } else { 20 };
    let place = Place::new();
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
    eprintln!("{kills} kills in {changes} changes");
    assert!(changes > kills * 8);
}

fn check(actors: &mut [Actor], place: &Place, server: &Server, everything: bool) {
    let names = printed(&place.data(), "", &["user", "list"]);
    let names: Vec<&str> = names.lines().collect();
    for actor in actors {
        actor.check(server.address, &names, everything);
    }
}
