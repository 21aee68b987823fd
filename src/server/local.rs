//! What the host program does: makes accounts, claims addresses, sends, and is told what it asked for.
//!
//! Read first: [`crate::Event`]. Nothing is called back; the host pulls when it has time to.
//! Left out on purpose: all that is done with accounts that are there ([`super::accounts`]).

use std::fmt;

use super::Server;
use crate::im::ctx::Now;
use crate::im::events::Event;
use crate::im::sender::Sender;
use crate::im::subscriptions;
use crate::routing::{dispatch, incoming};
use crate::tables::{AccountError, ServiceKey, User, SALT_BYTES};
use crate::xml::ns;
use crate::xml::{Reader, XmlError};
use crate::xmpp::jid::{Jid, JidError};
use crate::xmpp::stanza::Refusal;

impl Server {
    /// Makes an account. `name` is the part before the `@`.
    ///
    /// # Errors
    /// If the name or the password cannot be one, or the name is taken.
    pub fn add_account(&mut self, name: &str, password: &str) -> Result<(), AccountError> {
        let address = self.address_of(name)?;
        let salt = self.random.bytes::<SALT_BYTES>().map_err(|_| AccountError::NoRandom)?;
        let user = User::at(&self.config, &address).ok_or(AccountError::BadName)?;
        self.tables.create_account(user, password, &salt)
    }

    /// Lets one account see another's presence, and puts each into the other's roster. Whoever is connected is told.
    ///
    /// # Errors
    /// If either is not an account.
    pub fn subscribe(&mut self, watcher: &str, watched: &str) -> Result<(), AccountError> {
        let (watcher, watched) = (self.address_of(watcher)?, self.address_of(watched)?);
        let (config, accounts) = (&self.config, &self.tables.accounts);
        let exists = |address: &Jid| User::at(config, address).is_some_and(|user| accounts.exists(user));
        if !exists(&watcher) || !exists(&watched) {
            return Err(AccountError::Unknown);
        }
        if watcher == watched {
            return Ok(()); // which it does anyway
        }
        let now = self.now;
        let agreed = subscriptions::agree(&mut self.context(now).1, &watcher, &watched);
        self.work(now);
        agreed.map_err(|_| AccountError::NotRecorded)
    }

    pub(super) fn address_of(&self, name: &str) -> Result<Jid, AccountError> {
        Jid::new(Some(name), self.config.domain(), None).map_err(|_| AccountError::BadName)
    }

    /// Claims an address for the host program: a bare address, or a whole domain. What is sent there comes out of
    /// [`Server::next_event`]; [`Server::inject`] answers. Nobody can make an account of the same address then.
    ///
    /// # Errors
    /// If it is no address, has a resource, is the server's own domain (or another name of it), or an account has it.
    pub fn claim(&mut self, address: &str) -> Result<(), ClaimError> {
        let address: Jid = address.parse().map_err(ClaimError::Address)?;
        let address = self.config.canonical(address).map_err(ClaimError::Address)?;
        if !address.is_bare() {
            return Err(ClaimError::Full);
        }
        if address.local().is_none() && self.config.is_ours(address.domain()) {
            return Err(ClaimError::Own);
        }
        if User::at(&self.config, &address).is_some_and(|user| self.tables.accounts.exists(user)) {
            return Err(ClaimError::Account);
        }
        self.tables.hosts.add(&self.config, address, ServiceKey::HOST_PROGRAM);
        Ok(())
    }

    /// From now on [`Server::next_event`] also tells who comes and goes.
    pub fn watch_sessions(&mut self) {
        self.events.watch();
    }

    /// The next thing that the host asked to be told.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.next()
    }

    /// Sends a stanza from an address that the host claimed, as XML; where it declares no namespace it is in
    /// `jabber:client`. It goes the way of all stanzas, so an error may come back as an event.
    ///
    /// # Errors
    /// If it is no stanza, or its `from` is not claimed.
    pub fn inject(&mut self, stanza: &str, now: Now) -> Result<(), InjectError> {
        let element = Reader::read_one(stanza, ns::CLIENT, self.config.limits.after_login())
            .map_err(InjectError::Xml)?;
        let from = element.attr("from").and_then(|from| from.parse::<Jid>().ok());
        let from = from.and_then(|from| self.config.canonical(from).ok());
        let is_claimed = |from: &Jid| self.tables.hosts.service_at(from) == Some(ServiceKey::HOST_PROGRAM);
        let from = from.filter(is_claimed).ok_or(InjectError::NotClaimed)?;
        let (_, mut ctx) = self.context(now);
        let sender = Sender::Service(&from);
        let stanza = incoming::read(&ctx, &sender, element).map_err(|refusal| match refusal {
            Refusal::NoStanza(_) => InjectError::NoStanza,
            Refusal::Answer(_) | Refusal::Silence => InjectError::BadStanza,
        })?;
        if stanza.to.is_none() {
            return Err(InjectError::BadStanza);
        }
        dispatch::dispatch(&mut ctx, &sender, &stanza);
        self.work(now);
        Ok(())
    }
}

/// Why an address cannot be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// It is not an address.
    Address(JidError),
    /// It has a resource; claim the bare address.
    Full,
    /// It is the server's own domain.
    Own,
    /// Somebody has an account there.
    Account,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "{error}"),
            Self::Full => f.write_str("a claim is for a bare address: leave the resource out"),
            Self::Own => f.write_str("the server's own domain cannot be claimed"),
            Self::Account => f.write_str("somebody has an account of this name"),
        }
    }
}

impl std::error::Error for ClaimError {}

/// Why a stanza of the host program is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InjectError {
    /// It is not one whole element that may be on a stream.
    Xml(XmlError),
    /// It is not a message, a presence or an iq.
    NoStanza,
    /// It has no `to`, or something else that every stanza of its kind needs is missing or wrong.
    BadStanza,
    /// Its `from` is missing, or not an address that was claimed.
    NotClaimed,
}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xml(error) => write!(f, "{error}"),
            Self::NoStanza => f.write_str("only a message, a presence or an iq can be sent"),
            Self::BadStanza => f.write_str("the stanza lacks a to, a type, an id or its one child"),
            Self::NotClaimed => f.write_str("the stanza must be from an address that was claimed"),
        }
    }
}

impl std::error::Error for InjectError {}
