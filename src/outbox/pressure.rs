//! Back-pressure: whoever sends faster than a peer reads is itself read from no further.
//!
//! So much may wait for a peer before it counts: the soft limit. While more waits, the peer's own requests are not
//! read, so that no answer piles up that it does not take. A sender that has added more than its allowance is not read
//! either until half has gone, but not for long: a peer that does not read cannot keep others from everybody else. A
//! peer that takes no byte for a time ([`Limits::stall_time`]) is given up.
//!
//! The sum of one outbox: up to the soft limit everything is taken, and one thing is never longer than the soft limit;
//! above it, things are taken until there is twice as much. With stream management, what was sent and is not
//! acknowledged has a limit of its own, which is added; so is what is held back from an inactive client (`held.rs`).
//! With more, what can be refused is refused, and for anything else the peer is given up.
//! Left out on purpose: reading itself; whoever owns the connections asks [`Outboxes::is_throttled`].

use super::{find, Outbox, Outboxes, State};
use crate::xmpp::config::Limits;
use crate::xmpp::slab::Key;

/// The parts of the limits that are about one outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboxLimits {
    /// Bytes that wait before others must.
    pub(crate) soft: usize,
    /// Bytes that were sent and are not acknowledged.
    pub(crate) unacknowledged: usize,
    /// Seconds without a byte taken.
    pub(crate) stall: u32,
}

/// Bytes that one sender may add above the soft limit, at most, before it has to wait.
const ALLOWANCE: usize = 16_384;
/// Seconds that a sender waits for one peer.
const PATIENCE: u32 = 5;

/// Of an outbox that is above its soft limit.
pub(super) struct Pressure {
    /// When it last took or acknowledged something, or came above the limit.
    progress: u32,
    senders: Vec<Sender>,
}

/// One who has sent something while the outbox was above its limit.
struct Sender {
    key: Key,
    bytes: usize,
    waits: Waits,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    NotYet,
    Since(u32),
    LongEnough,
}

impl From<&Limits> for OutboxLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            soft: limits.outbox_bytes,
            unacknowledged: limits.unacknowledged_bytes,
            stall: limits.stall_time.as_secs().try_into().unwrap_or(u32::MAX),
        }
    }
}

impl OutboxLimits {
    /// All that an outbox may hold.
    pub(super) fn hard(&self, is_managed: bool) -> usize {
        let unacknowledged = if is_managed { self.unacknowledged } else { 0 };
        self.soft.saturating_mul(2).saturating_add(unacknowledged)
    }

    fn allowance(&self) -> usize {
        ALLOWANCE.min(self.soft / 8)
    }
}

impl Outboxes {
    /// From now on what is sent is sent for this stream's stanzas.
    pub(crate) fn act_for(&mut self, key: Option<Key>) {
        self.acting = key;
    }

    /// Whether a stream is to be read from no further for now.
    pub(crate) fn is_throttled(&self, key: Key) -> bool {
        self.get(key).is_some_and(|outbox| {
            let reads_too_little = outbox.pressure.is_some() && outbox.state == State::Open;
            reads_too_little || outbox.waits_for.is_some()
        })
    }

    /// There is more to tell a stream than it takes at once.
    pub(crate) fn put_off(&mut self, key: Key) {
        if let Some(outbox) = find(&mut self.slots, key) {
            outbox.has_more = true;
            self.ready.push_back(key);
        }
    }

    /// Whether something was put off. It is said once.
    pub(crate) fn take_put_off(&mut self, key: Key) -> bool {
        find(&mut self.slots, key).is_some_and(|outbox| std::mem::take(&mut outbox.has_more))
    }

    /// The next stream that was throttled and is so no longer.
    pub(crate) fn next_ready(&mut self) -> Option<Key> {
        self.ready.pop_front()
    }

    /// How many of them there are.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// A stream has more to do, in a later turn.
    pub(crate) fn make_ready(&mut self, key: Key) {
        self.ready.push_back(key);
    }

    /// Whether an outbox has come above its soft limit since all were sent from.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Gives up who takes nothing, and lets go on who has waited long enough for that.
    pub(crate) fn look_at_stalled(&mut self) {
        let (now, stall) = (self.now.second, self.limits.stall);
        for key in self.pressed.clone() {
            let Some(outbox) = find(&mut self.slots, key) else { continue };
            let Some(pressure) = &mut outbox.pressure else { continue };
            if now.saturating_sub(pressure.progress) >= stall {
                self.cut_off(key);
                continue;
            }
            for sender in pressure.senders_who_waited(now) {
                self.let_go(sender, key);
            }
        }
    }

    /// When [`Outboxes::look_at_stalled`] has something to do.
    pub(crate) fn next_look(&self) -> Option<std::time::Duration> {
        let next = || std::time::Duration::from_secs(u64::from(self.now.second) + 1);
        (!self.pressed.is_empty()).then(next)
    }

    /// So much was just written: throttles who has written too much of it.
    pub(super) fn press(&mut self, key: Key, length: usize) {
        let (limits, now, acting) = (self.limits, self.now.second, self.acting);
        let Some(outbox) = find(&mut self.slots, key).filter(|outbox| outbox.is_over(&limits)) else {
            return;
        };
        if outbox.pressure.is_none() {
            self.pressed.push(key);
            self.urgent = true;
        }
        let new = || Box::new(Pressure { progress: now, senders: Vec::new() });
        let pressure = outbox.pressure.get_or_insert_with(new);
        let Some(sender) = acting.filter(|sender| *sender != key) else { return };
        if pressure.charge(sender, length, limits.allowance(), now) {
            if let Some(sender) = find(&mut self.slots, sender) {
                sender.waits_for = Some(key);
            }
        }
    }

    /// The peer has taken or acknowledged something.
    pub(super) fn note_progress(&mut self, key: Key) {
        let (limits, now) = (self.limits, self.now.second);
        let Some(outbox) = find(&mut self.slots, key) else { return };
        let Some(pressure) = &mut outbox.pressure else { return };
        pressure.progress = now;
        if outbox.is_drained(&limits) {
            self.relieve(key);
        }
    }

    /// Nobody is to wait for this outbox any longer.
    pub(super) fn relieve(&mut self, key: Key) {
        let Some(pressure) = find(&mut self.slots, key).and_then(|outbox| outbox.pressure.take()) else {
            return;
        };
        self.pressed.retain(|pressed| *pressed != key);
        self.ready.push_back(key);
        for sender in pressure.senders {
            self.let_go(sender.key, key);
        }
    }

    /// `sender` waits for `key` no longer, if it has.
    fn let_go(&mut self, sender: Key, key: Key) {
        let Some(outbox) = find(&mut self.slots, sender).filter(|sender| sender.waits_for == Some(key))
        else {
            return;
        };
        outbox.waits_for = None;
        self.ready.push_back(sender);
    }
}

impl Outbox {
    fn is_over(&self, limits: &OutboxLimits) -> bool {
        self.waiting() > limits.soft || (self.acknowledgements.is_some() && self.sent > limits.unacknowledged)
    }

    /// Half of what may wait has room again.
    fn is_drained(&self, limits: &OutboxLimits) -> bool {
        self.waiting() <= limits.soft / 2 && !self.is_over(limits)
    }
}

impl Pressure {
    /// Notes that a sender has added so much. `true` if it has to wait now.
    fn charge(&mut self, key: Key, length: usize, allowance: usize, now: u32) -> bool {
        let index = self.senders.iter().position(|sender| sender.key == key).unwrap_or_else(|| {
            self.senders.push(Sender { key, bytes: 0, waits: Waits::NotYet });
            self.senders.len() - 1
        });
        let Some(sender) = self.senders.get_mut(index) else { return false };
        sender.bytes = sender.bytes.saturating_add(length);
        if sender.bytes > allowance && sender.waits == Waits::NotYet {
            sender.waits = Waits::Since(now);
        }
        matches!(sender.waits, Waits::Since(_))
    }

    /// Those who have waited long enough; they do so only once.
    fn senders_who_waited(&mut self, now: u32) -> Vec<Key> {
        let mut waited = Vec::new();
        for sender in &mut self.senders {
            if matches!(sender.waits, Waits::Since(since) if now.saturating_sub(since) >= PATIENCE) {
                sender.waits = Waits::LongEnough;
                waited.push(sender.key);
            }
        }
        waited
    }
}
