//! What an attack has at hand: a server, and clients of all kinds.
//!
//! Read first: [`Stage::start`], before which all is preparation.
//! Left out on purpose: the bystanders, of whom an attack knows nothing.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::net::Net;
use crate::server::{Server, Usage};
use crate::wire::{self, login, ping, PONG};
use crate::Result;

/// How long preparations may take, and how long a client waits for an answer to be sure that none comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);
/// How long an attack without an end of its own goes on.
pub(crate) const ATTACK: Duration = Duration::from_secs(3);
/// Logins under way at a time.
const AT_ONCE: usize = 64;
/// The size of what is sent over and over, about.
const BLOCK: usize = 65_536;

pub(crate) struct Stage<'s> {
    pub(crate) server: &'s Server,
    pub(crate) net: Net,
    /// What was seen, for people.
    pub(crate) notes: Vec<String>,
    /// When the attack began, and what the server had used by then.
    pub(crate) began: Option<(Instant, Usage)>,
}

impl<'s> Stage<'s> {
    pub(crate) fn new(server: &'s Server) -> Result<Self> {
        Ok(Self { server, net: Net::new()?, notes: Vec::new(), began: None })
    }

    /// Preparations are over; from now on all counts.
    pub(crate) fn start(&mut self) -> Result<()> {
        let before = self.server.usage()?;
        self.server.reset_peak();
        self.net.sent = 0;
        self.began = Some((Instant::now(), before));
        Ok(())
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A client that has said nothing yet.
    pub(crate) fn connect(&mut self) -> Result<usize> {
        self.net.connect(self.server.address)
    }

    /// A client that has logged in and said this.
    pub(crate) fn log_in(&mut self, name: &str, resource: &str, says: &str) -> Result<usize> {
        let online = self.log_in_all(&[(name.to_owned(), resource.to_owned())], says)?;
        Ok(online.first().copied().ok_or("it is not let in")?)
    }

    /// Clients that have logged in and said this, one for each of the first accounts.
    pub(crate) fn log_in_users(&mut self, users: std::ops::Range<usize>, says: &str) -> Result<Vec<usize>> {
        let who: Vec<_> = users.map(|number| (wire::user(number), "x".to_owned())).collect();
        self.log_in_all(&who, says)
    }

    /// The same, some at a time: each leaves when all that it said was answered.
    pub(crate) fn visit(&mut self, users: std::ops::Range<usize>, says: &str) -> Result<()> {
        for first in users.clone().step_by(AT_ONCE) {
            let online = self.log_in_users(first..users.end.min(first + AT_ONCE), says)?;
            online.into_iter().for_each(|who| self.net.drop_client(who));
        }
        Ok(())
    }

    /// As many sessions of one account.
    pub(crate) fn log_in_often(&mut self, name: &str, times: usize, says: &str) -> Result<Vec<usize>> {
        let who: Vec<_> = (0..times).map(|number| (name.to_owned(), format!("r{number}"))).collect();
        let online = self.try_log_in(self.server.address, &who, says)?;
        if online.len() < times {
            self.note(format!("{} of {times} sessions let in", online.len()));
        }
        Ok(online)
    }

    fn log_in_all(&mut self, who: &[(String, String)], says: &str) -> Result<Vec<usize>> {
        let online = self.try_log_in(self.server.address, who, says)?;
        match online.len() == who.len() {
            true => Ok(online),
            false => Err(format!("{} of {} are let in", online.len(), who.len()).into()),
        }
    }

    /// Those who are let in, of accounts and resources that try.
    pub(crate) fn try_log_in(
        &mut self,
        address: SocketAddr,
        who: &[(String, String)],
        says: &str,
    ) -> Result<Vec<usize>> {
        let mut online = Vec::new();
        let until = Instant::now() + PATIENCE;
        for some in who.chunks(AT_ONCE) {
            let mut coming = Vec::new();
            for (name, resource) in some {
                let client = self.net.connect(address)?;
                self.net.count(client, PONG);
                self.net.say(client, &format!("{}{says}{}", login(name, resource), ping()));
                coming.push(client);
            }
            let left = until.saturating_duration_since(Instant::now());
            self.until(left, |net| {
                coming.iter().all(|client| net.found(*client) > 0 || net.is_over(*client))
            })?;
            online.extend(coming.into_iter().filter(|client| self.net.found(*client) > 0));
        }
        Ok(online)
    }

    /// Says the same over and over.
    pub(crate) fn repeat(&mut self, who: usize, text: &str) {
        let block = text.repeat((BLOCK / text.len()).max(1));
        self.net.say_often(who, &Rc::from(block.as_bytes()), u64::MAX);
    }

    /// All of them say the same over and over, as long as an attack lasts. However greedy they are, they read.
    pub(crate) fn flood(&mut self, who: &[usize], text: &str) -> Result<()> {
        for client in who {
            self.net.watch(*client);
            self.repeat(*client, text);
        }
        self.go_on(ATTACK)
    }

    /// Lets time pass.
    pub(crate) fn go_on(&mut self, time: Duration) -> Result<()> {
        self.until(time, |_| false).map(drop)
    }

    /// Waits until it is so, but no longer than this; says whether it is.
    pub(crate) fn until(&mut self, time: Duration, mut is_so: impl FnMut(&Net) -> bool) -> Result<bool> {
        let start = Instant::now();
        while !is_so(&self.net) {
            if start.elapsed() >= time {
                return Ok(false);
            }
            self.net.turn(Duration::from_millis(5))?;
        }
        Ok(true)
    }

    /// Waits until all that one has said is answered; says whether it is.
    pub(crate) fn settle(&mut self, who: usize) -> Result<bool> {
        self.net.count(who, PONG);
        self.net.say(who, &ping());
        self.until(PATIENCE, |net| net.found(who) > 0 || net.is_over(who))
    }

    /// Waits until one has got so many of what is counted, and notes how many these were.
    pub(crate) fn expect(&mut self, who: usize, times: usize, what: &str) -> Result<()> {
        self.until(PATIENCE, |net| net.found(who) >= times || net.is_over(who))?;
        let found = self.net.found(who);
        self.note(format!("{found} of {times} {what}"));
        Ok(())
    }
}
