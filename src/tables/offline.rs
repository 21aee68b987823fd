//! Messages that wait for an account to have somebody to take them.
//!
//! Read first: XEP-0160. They are kept as the bytes that will be sent: as trees they would take several times the
//! memory. Each has a number of its own in its account, and numbers only grow: so a change that is applied twice adds
//! nothing. Left out on purpose: which messages are kept, and for how many there is room.

use std::collections::VecDeque;
use std::fmt;

use super::portable::{Part, NS};
use super::AccountChange;
use crate::xml::{ns, writer, Element, Node, Reader, XmlLimits};

/// A message that waits.
pub(crate) struct OfflineMessage {
    /// Its number in its account.
    pub(crate) number: u64,
    /// The whole stanza as it goes into a stream, in UTF-8.
    pub(crate) bytes: Box<[u8]>,
}

/// Kept out of logs.
impl fmt::Debug for OfflineMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(message {} of {} bytes)", self.number, self.bytes.len())
    }
}

/// The messages that wait for one account, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Offline {
    messages: VecDeque<OfflineMessage>,
    bytes: usize,
    /// The number of the newest that there ever was.
    last: u64,
}

impl Offline {
    /// The messages in order.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &OfflineMessage> {
        self.messages.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// How many bytes they have in all.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number up to which none waits any more.
    pub(crate) fn sent(&self) -> u64 {
        self.messages.front().map_or(self.last, |message| message.number - 1)
    }

    /// The number for one more.
    pub(crate) fn next_number(&self) -> u64 {
        self.last.saturating_add(1)
    }

    /// Adds a message, unless one of its number has been there.
    pub(super) fn add(&mut self, message: OfflineMessage) {
        if message.number <= self.last {
            return;
        }
        self.last = message.number;
        self.bytes += message.bytes.len();
        self.messages.push_back(message);
    }

    /// Removes one message, wherever it stands; from now on, none of its number has been missing.
    pub(super) fn remove(&mut self, number: u64) {
        let place = self.messages.binary_search_by_key(&number, |message| message.number).ok();
        if let Some(message) = place.and_then(|place| self.messages.remove(place)) {
            self.bytes -= message.bytes.len();
        }
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        self.last = self.last.max(number);
    }

    /// The newest number, if its message waits no longer.
    fn removed_last(&self) -> Vec<u64> {
        let newest = self.messages.back().map(|message| message.number);
        newest.filter(|newest| *newest < self.last).map(|_| self.last).into_iter().collect()
    }

    /// Removes the messages up to this number; from now on, none of them has been missing.
    pub(super) fn remove_through(&mut self, number: u64) {
        while let Some(message) = self.messages.front().filter(|message| message.number <= number) {
            self.bytes -= message.bytes.len();
            self.messages.pop_front();
        }
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        self.last = self.last.max(number);
    }
}

/// XEP-0227 4.5.
pub(super) const PART: Part = Part {
    write: |account, user| match account.offline().sent() {
        0 if account.offline().len() == 0 => user,
        sent => {
            let offline = account.offline();
            user.with(to_element(Some(sent), &offline.removed_last(), offline.messages()))
        }
    },
    read: |user| user.children().filter(|part| part.is(OFFLINE, NS)).flat_map(read).collect(),
};

const OFFLINE: &str = "offline-messages";

/// Messages with their numbers; the number up to which none waits any more, and others whose message waits no longer.
pub(super) fn to_element<'m>(
    sent: Option<u64>,
    removed: &[u64],
    messages: impl IntoIterator<Item = &'m OfflineMessage>,
) -> Element {
    let mut element = Element::new(OFFLINE, NS);
    if let Some(sent) = sent {
        element.set_attr("sent", sent.to_string());
    }
    let mut numbers: Vec<String> = Vec::new();
    for message in messages {
        let text = String::from_utf8_lossy(&message.bytes);
        match Reader::read_one(&text, ns::CLIENT, XmlLimits::NONE) {
            Ok(stanza) => element.push(Node::Element(stanza)),
            Err(error) => debug_assert!(false, "what was written can be read: {error}"),
        }
        numbers.push(message.number.to_string());
    }
    let removed: Vec<String> = removed.iter().map(u64::to_string).collect();
    for (name, numbers) in [("numbers", numbers), ("removed", removed)] {
        if !numbers.is_empty() {
            element.set_attr(name, numbers.join(" "));
        }
    }
    element
}

/// Messages that another server has exported have no numbers, and get the first ones.
fn read(part: &Element) -> Vec<AccountChange> {
    let number = |text: &str| text.parse::<u64>().ok();
    let sent = part.attr("sent").and_then(number);
    let numbers = |name| Some(part.attr(name)?.split(' ').filter_map(number).collect::<Vec<u64>>());
    let removed = numbers("removed").map(|removed| AccountChange::OfflineRemoved(removed.into()));
    let numbers = numbers("numbers").unwrap_or_else(|| (1..=part.children().count() as u64).collect());
    let messages = part.children().filter(|child| child.is("message", ns::CLIENT)).zip(numbers);
    let kept = messages.map(|(message, number)| {
        let mut bytes = Vec::new();
        writer::write(message, ns::CLIENT, &mut bytes);
        AccountChange::Offline(OfflineMessage { number, bytes: bytes.into() })
    });
    sent.map(AccountChange::OfflineSent).into_iter().chain(kept).chain(removed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64) -> OfflineMessage {
        OfflineMessage { number, bytes: vec![b'x'; 10].into() }
    }

    fn numbers(offline: &Offline) -> Vec<u64> {
        assert_eq!((offline.len(), offline.bytes()), (offline.messages().count(), offline.len() * 10));
        offline.messages().map(|message| message.number).collect()
    }

    #[test]
    fn what_is_done_twice_is_done_once() {
        let mut offline = Offline::default();
        for _ in 0..2 {
            (1..=3).for_each(|number| offline.add(message(number)));
            assert_eq!(numbers(&offline), [1, 2, 3]);
        }
        for _ in 0..2 {
            offline.remove_through(2);
            assert_eq!((numbers(&offline), offline.sent(), offline.next_number()), (vec![3], 2, 4));
        }
        (1..=4).for_each(|number| offline.add(message(number)));
        assert_eq!(numbers(&offline), [3, 4]);
    }

    #[test]
    fn one_is_removed_wherever_it_stands() {
        for gone in 1..=4 {
            let mut offline = Offline::default();
            (1..=3).for_each(|number| offline.add(message(number)));
            for _ in 0..2 {
                offline.remove(gone);
                let left: Vec<u64> = (1..=3).filter(|number| *number != gone).collect();
                assert_eq!((numbers(&offline), offline.next_number()), (left, gone.max(3) + 1));
            }
            offline.add(message(gone));
            assert!(!numbers(&offline).contains(&gone), "it waited before");
        }
    }

    #[test]
    fn numbers_do_not_come_back() {
        let mut offline = Offline::default();
        offline.remove_through(7);
        offline.add(message(7));
        assert_eq!((numbers(&offline), offline.sent(), offline.next_number()), (vec![], 7, 8));
    }

    #[test]
    fn a_message_cannot_be_printed() {
        assert_eq!(format!("{:?}", message(1)), "(message 1 of 10 bytes)");
    }
}
