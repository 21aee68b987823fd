//! What the host program wants to know: it asks, and pulls.
//!
//! A host claims an address and gets what is sent there; it watches sessions and hears who came and went. What it did
//! not ask for costs nothing. Left out on purpose: callbacks. Nothing of the host runs inside a handler.

use std::collections::VecDeque;

use crate::xml::Element;
use crate::xmpp::jid::Jid;

/// Something that the host asked to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A resource has connected.
    Bound(Jid),
    /// A resource has disconnected.
    Gone(Jid),
    /// A stanza for an address that the host claimed, `from` stamped by the server.
    Stanza(Element),
}

pub(crate) struct Events {
    queue: VecDeque<Event>,
    watching: bool,
    limit: usize,
}

impl Events {
    pub(crate) fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), watching: false, limit }
    }

    pub(crate) fn next(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }

    /// From now on tells who comes and goes.
    pub(crate) fn watch(&mut self) {
        self.watching = true;
    }

    /// Who came or went. A host that does not pull misses the newest, never the loop's memory.
    pub(crate) fn session(&mut self, event: impl FnOnce() -> Event) {
        if self.watching && !self.push(event()) {
            log::warn!("the host program takes no events: one is lost");
        }
    }

    /// A stanza for the host. `false` if it has too many waiting.
    pub(crate) fn stanza(&mut self, stanza: Element) -> bool {
        self.push(Event::Stanza(stanza))
    }

    /// Whether the host would get one more stanza.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < self.limit
    }

    fn push(&mut self, event: Event) -> bool {
        let fits = self.has_room();
        if fits {
            self.queue.push_back(event);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_limited() {
        let mut events = Events::new(2);
        let stanza = || Element::new("message", "");
        assert!(events.stanza(stanza()) && events.stanza(stanza()) && !events.stanza(stanza()));
        assert_eq!(events.next(), Some(Event::Stanza(stanza())));
        assert!(events.stanza(stanza()), "there is room again");
        events.session(|| unreachable!("nobody watches"));
        events.watch();
        let address: Jid = "a@b/c".parse().unwrap();
        events.session(|| Event::Gone(address.clone()));
        assert!(events.next().is_some() && events.next().is_some() && events.next().is_none());
    }
}
