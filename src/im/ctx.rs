//! What a handler may touch: everything but the streams themselves.
//!
//! The server lends its parts, each by itself, for the time of one stanza.

use std::time::Duration;

use crate::crypto::random::Random;
use crate::im::events::Events;
use crate::outbox::Outboxes;
use crate::tables::{Destination, Tables};
use crate::xmpp::config::Config;
use crate::xmpp::jid::Jid;

/// The time, as the owner of the server tells it. The core has no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Time since any fixed moment; never goes back. All deadlines are on this scale.
    pub monotonic: Duration,
    /// Time since 1970 as the system believes it; may jump, may be wrong.
    pub since_1970: Duration,
}

/// The server's parts, lent to a handler.
pub(crate) struct Ctx<'a> {
    pub(crate) config: &'a Config,
    pub(crate) tables: &'a mut Tables,
    pub(crate) outboxes: &'a mut Outboxes,
    pub(crate) events: &'a mut Events,
    pub(crate) random: &'a mut Random,
    pub(crate) now: Now,
    /// How long the server has been told the time.
    pub(crate) uptime: Duration,
}

impl Ctx<'_> {
    /// Whose `address` is. It is at the canonical domain if it is at ours at all.
    pub(crate) fn destination<'j>(&self, address: &'j Jid) -> Destination<'j> {
        self.tables.hosts.destination(self.config, address)
    }
}
