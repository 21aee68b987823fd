//! What an inactive client need not get now.
//!
//! Read first: XEP-0352. Presence and chat states wait, and of each sender only the last counts. They go out when the
//! client is active again, or before anything that cannot wait.
//! Left out on purpose: messages with content; they never wait.

use std::collections::BTreeMap;

use super::{Moment, Outbox, Outboxes};
use crate::xml::ns;
use crate::xml::Element;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::is_fleeting;

/// Senders whose news are held back, and bytes of such news; with more, all go out.
const MAX_HELD: usize = 256;
const MAX_HELD_BYTES: usize = 4_096;

/// How a stanza that was written for many is held back from an inactive client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hold<'a> {
    /// Not at all.
    Never,
    /// As the presence of this full address.
    Presence(&'a str),
    /// As a copy of this message, if that is a chat state.
    CopyOf(&'a Element),
}

/// What is the same news: its kind and its sender.
pub(super) type News = (&'static str, String);

impl Hold<'_> {
    /// Which news it is, if it can be held back.
    pub(super) fn news(self) -> Option<News> {
        match self {
            Self::Never => None,
            Self::Presence(from) => Some(("presence", from.to_owned())),
            Self::CopyOf(message) => {
                let attr = |name| message.attr(name).unwrap_or_default();
                kind_of(message).map(|_| ("copy of a chat state", [attr("from"), attr("to")].join(" ")))
            }
        }
    }
}

/// Which news a stanza is, if it can be held back.
pub(super) fn news_of(element: &Element) -> Option<News> {
    kind_of(element).map(|kind| (kind, element.attr("from").unwrap_or_default().to_owned()))
}

/// What an inactive client need not know at once: that somebody came or went or is typing.
fn kind_of(element: &Element) -> Option<&'static str> {
    let is_state = || element.children().any(|child| child.ns() == ns::CHAT_STATES) && is_fleeting(element);
    match (element.name(), element.attr("type")) {
        ("presence", None | Some("unavailable")) => Some("presence"),
        ("message", None | Some("chat" | "normal")) if is_state() => Some("chat state"),
        _ => None,
    }
}

/// What is held back from one client.
#[derive(Default)]
pub(super) struct Held {
    /// Each with when it was written, in whose order it goes out.
    news: BTreeMap<News, (Moment, Vec<u8>)>,
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.news.values().map(|(_, bytes)| bytes.len()).sum()
    }
}

impl Outboxes {
    /// XEP-0352 section 4: holds back what can wait from now on, or sends all of it.
    pub(crate) fn set_active(&mut self, key: Key, active: bool) {
        let now = self.now;
        let Some(outbox) = self.get_mut(key) else { return };
        if active {
            outbox.release(now);
            outbox.held = None;
            self.mark_dirty(key);
            self.press(key, 0);
        } else if outbox.held.is_none() {
            outbox.held = Some(Box::default());
        }
    }
}

impl Outbox {
    /// Holds back what was written behind `start`, if the client is inactive and that can wait; otherwise what was
    /// held back before goes before it.
    pub(super) fn hold_back(
        &mut self,
        start: usize,
        now: Moment,
        news: impl FnOnce() -> Option<News>,
    ) -> bool {
        let Some(held) = &mut self.held else { return false };
        let last = self.bytes.split_off(start);
        match news().filter(|_| held.news.len() < MAX_HELD && last.len() <= MAX_HELD_BYTES) {
            Some(news) => {
                held.news.insert(news, (now, last));
                true
            }
            None => {
                self.release(now);
                self.bytes.extend_from_slice(&last);
                false
            }
        }
    }

    /// Lets go of what was held back.
    pub(super) fn release(&mut self, now: Moment) {
        let Some(held) = &mut self.held else { return };
        let mut news: Vec<_> = std::mem::take(&mut held.news).into_values().collect();
        news.sort_unstable_by_key(|(written, _)| written.number);
        for (_, bytes) in news {
            let before = self.bytes.len();
            self.bytes.extend_from_slice(&bytes);
            self.enter(before, Some(now), false);
        }
    }
}
