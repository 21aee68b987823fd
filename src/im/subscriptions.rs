//! Who may see whose presence: asked for, granted, refused, given up.
//!
//! Read first: RFC 6121 section 3, and Appendix A, which [`crate::tables::Subscription`] has as a table. A stanza first takes
//! its turn in both rosters and is recorded there; only then is anybody told, the sender's resources first.
//! Left out on purpose: other servers. The host program's addresses are treated as if they were at one.

use crate::im::blocking;
use crate::im::ctx::{Ctx, Owner};
use crate::im::presence;
use crate::im::roster;
use crate::tables::{Change, Contact, NotRecorded, Step, Subscription};
use crate::xml::ns;
use crate::xml::writer::Unaddressed;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{Stanza, SubscriptionType};

/// A subscription stanza on its way.
struct Letter {
    /// Both addresses are bare (RFC 6121 section 3).
    from: Jid,
    to: Jid,
    kind: SubscriptionType,
    /// The stanza without its `to`.
    element: Element,
}

impl Letter {
    /// One of ours, sent on behalf of `from`.
    fn new(from: &Jid, to: &Jid, kind: SubscriptionType) -> Self {
        let element = Element::new("presence", ns::CLIENT)
            .with_attr("from", from.as_str().to_owned())
            .with_attr("type", kind.name());
        Self { from: from.clone(), to: to.clone(), kind, element }
    }

    /// What the recipient's server answers on the recipient's behalf.
    fn answered(&self, kind: SubscriptionType) -> Self {
        let mut answer = Self::new(&self.to, &self.from, kind);
        if let Some(id) = self.element.attr("id") {
            answer.element.set_attr("id", id.to_owned());
        }
        answer
    }

    fn hand_over(&self, ctx: &mut Ctx<'_>) {
        let element = self.element.clone().with_attr("to", self.to.as_str().to_owned());
        ctx.events.stanza(element);
    }

    /// What is kept of a request until it is answered.
    fn to_be_kept(&self, most_bytes: usize) -> Element {
        if self.element.to_string().len() <= most_bytes {
            return self.element.clone();
        }
        let mut frame = Element::new("presence", ns::CLIENT);
        for name in ["from", "type", "id"] {
            if let Some(value) = self.element.attr(name) {
                frame.set_attr(name, value.to_owned());
            }
        }
        frame
    }
}

/// RFC 6121 section 3: a subscription stanza of a client or of the host program.
pub(crate) fn handle(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    to: &Jid,
    kind: SubscriptionType,
    stanza: &Stanza,
) -> Result<(), StanzaError> {
    let (from, to) = (from.to_bare(), to.to_bare());
    if from == to {
        return Err(StanzaError::because(Condition::NotAllowed, "you see your own presence anyway"));
    }
    let mut element = stanza.element.clone();
    element.set_attr("from", from.as_str().to_owned());
    element.remove_attr("to");
    let letter = Letter { from, to, kind, element };
    check_reachable(ctx, &letter.to)?;
    let turn = Turn::of_sender(ctx, &letter);
    let arrival = match &turn {
        Some(turn) if !turn.step.passes => None,
        _ => Some(Arrival::of(ctx, &letter)?),
    };
    record(ctx, turn.iter().chain(arrival.as_ref().and_then(Arrival::turn)))?;
    if let Some(turn) = turn {
        go_out(ctx, &turn);
    }
    if let Some(arrival) = arrival {
        tell(ctx, &letter, &arrival);
    }
    Ok(())
}

fn check_reachable(ctx: &Ctx<'_>, to: &Jid) -> Result<(), Condition> {
    match ctx.owner_of(to) {
        Owner::Account(_) | Owner::Claimed => Ok(()),
        Owner::Host => Err(Condition::ServiceUnavailable),
        Owner::Elsewhere => Err(Condition::RemoteServerNotFound),
    }
}

/// Records what a letter does to one roster or two, if there is room for it: all of it or nothing.
fn record<'t>(ctx: &mut Ctx<'_>, turns: impl Iterator<Item = &'t Turn>) -> Result<(), StanzaError> {
    let turns: Vec<_> = turns.filter(|turn| turn.before != turn.after).collect();
    for turn in &turns {
        roster::check_room(ctx, turn.user(), &turn.contact, Some(&turn.after))?;
    }
    Ok(ctx.tables.change_all(turns.into_iter().map(|turn| (turn.user(), turn.change())).collect())?)
}

/// RFC 6121 3.1.2, 3.1.5, 3.2.2 and 3.3.2: the sender's side.
fn go_out(ctx: &mut Ctx<'_>, turn: &Turn) {
    if turn.hides_the_owner() {
        // While the contact still sees the owner (RFC 6121 3.2.2).
        presence::withdraw(ctx, &turn.owner, &turn.contact);
    }
    turn.push(ctx);
}

/// Where a letter arrives.
enum Arrival {
    /// With an account, in whose roster it takes its turn.
    Account(Turn),
    /// With the host program.
    HostProgram,
    /// With nobody.
    Nowhere,
}

impl Arrival {
    fn of(ctx: &Ctx<'_>, letter: &Letter) -> Result<Self, Condition> {
        match ctx.owner_of(&letter.to) {
            Owner::Claimed if ctx.events.has_room() => Ok(Self::HostProgram),
            Owner::Claimed => Err(Condition::ResourceConstraint),
            Owner::Account(user) if ctx.tables.accounts.exists(user) => {
                Ok(Self::Account(Turn::of_recipient(ctx, letter)))
            }
            Owner::Account(_) | Owner::Host | Owner::Elsewhere => Ok(Self::Nowhere),
        }
    }

    fn turn(&self) -> Option<&Turn> {
        match self {
            Self::Account(turn) => Some(turn),
            Self::HostProgram | Self::Nowhere => None,
        }
    }
}

/// RFC 6121 3.1.3, 3.1.6, 3.2.3 and 3.3.3: the recipient's side. The stanza comes before the push that follows from it.
fn tell(ctx: &mut Ctx<'_>, letter: &Letter, arrival: &Arrival) {
    match arrival {
        Arrival::Account(turn) => {
            if turn.step.passes {
                deliver(ctx, letter);
            }
            turn.push(ctx);
            if turn.hides_the_owner() {
                presence::withdraw(ctx, &turn.owner, &turn.contact);
            }
            if let Some(answer) = turn.step.answer {
                send(ctx, &letter.answered(answer));
            }
        }
        Arrival::HostProgram => letter.hand_over(ctx),
        // Who asks for the presence of nobody is told what one who does not exist would not say.
        Arrival::Nowhere if letter.kind == SubscriptionType::Subscribe => {
            send(ctx, &letter.answered(SubscriptionType::Unsubscribed));
        }
        Arrival::Nowhere => (),
    }
    if letter.kind == SubscriptionType::Subscribed {
        presence::share(ctx, &letter.from, &letter.to);
    }
}

/// RFC 6121 2.2: requests go to those who are available, the rest to those who have the roster.
fn deliver(ctx: &mut Ctx<'_>, letter: &Letter) {
    let user = letter.to.local().unwrap_or_default();
    let sessions = ctx.tables.sessions.of(user).iter();
    let streams: Vec<Key> = sessions
        .filter(|session| match letter.kind {
            SubscriptionType::Subscribe => session.presence.is_some(),
            _ => session.interested,
        })
        .map(|session| session.stream)
        .collect();
    let written = Unaddressed::new(&letter.element, ns::CLIENT);
    for stream in streams {
        ctx.outboxes.send_copy_now(stream, &written, letter.to.as_str());
    }
}

/// Sends a letter of ours, about which nobody can be told if it fails.
fn send(ctx: &mut Ctx<'_>, letter: &Letter) {
    let arrival = Arrival::of(ctx, letter).map_err(StanzaError::from);
    let recorded = arrival.and_then(|arrival| record(ctx, arrival.turn().into_iter()).map(|()| arrival));
    match recorded {
        Ok(arrival) => tell(ctx, letter, &arrival),
        Err(error) => {
            log::error!("{:?} of {} does not reach {}: {error:?}", letter.kind, letter.from, letter.to);
        }
    }
}

/// What it means to the other one that all is over between an owner and a contact, whichever way presence flowed and whoever
/// had asked (RFC 6121 2.5.2).
pub(crate) struct Farewell {
    letters: Vec<Letter>,
    /// In the other one's roster, if that is kept here.
    turn: Option<Turn>,
}

impl Farewell {
    /// One that is to be said to `contact`, whom `owner` has had in this state.
    pub(crate) fn new(ctx: &Ctx<'_>, owner: &Jid, contact: &Jid, left: Subscription) -> Self {
        match ctx.owner_of(contact) {
            Owner::Account(user) if ctx.tables.accounts.exists(user) => {
                Self::in_roster(ctx, Turn::into(ctx, contact, owner, |same| same))
            }
            Owner::Claimed => Self::to_host_program(owner, contact, left),
            Owner::Account(_) | Owner::Host | Owner::Elsewhere => Self { letters: Vec::new(), turn: None },
        }
    }

    /// Whoever is blocked parts without a word (XEP-0191 3.3).
    fn in_roster(ctx: &Ctx<'_>, mut turn: Turn) -> Self {
        let is_heard = !blocking::has_blocked(ctx.config, &ctx.tables.accounts, &turn.owner, &turn.contact);
        let mut letters = Vec::new();
        for kind in [SubscriptionType::Unsubscribe, SubscriptionType::Unsubscribed] {
            let step = turn.after.subscription.inbound(kind, false);
            turn.after = turn.after.after(step);
            letters.extend((step.passes && is_heard).then(|| Letter::new(&turn.contact, &turn.owner, kind)));
        }
        Self { letters, turn: Some(turn) }
    }

    fn to_host_program(owner: &Jid, contact: &Jid, left: Subscription) -> Self {
        let unsubscribe = left.is_to() || left.is_pending_out();
        let unsubscribed = left.is_from() || left.is_pending_in();
        let kinds = unsubscribe.then_some(SubscriptionType::Unsubscribe).into_iter();
        let kinds = kinds.chain(unsubscribed.then_some(SubscriptionType::Unsubscribed));
        Self { letters: kinds.map(|kind| Letter::new(owner, contact, kind)).collect(), turn: None }
    }

    /// XEP-0077 3.2: those that are to be said when the account of `gone` ends.
    pub(crate) fn all_of(ctx: &Ctx<'_>, gone: &Jid) -> Vec<Self> {
        let accounts = &ctx.tables.accounts;
        let contacts = accounts.contacts(gone.local().unwrap_or_default());
        let claimed = contacts.filter(|(address, _)| ctx.owner_of(address) == Owner::Claimed);
        let claimed = claimed.map(|(address, c)| Self::to_host_program(gone, address, c.subscription));
        let knows = accounts.who_know(gone.as_str()).into_iter();
        let knows = knows.filter_map(|name| Jid::new(Some(name), gone.domain(), None).ok());
        knows.map(|owner| Self::for_good(ctx, &owner, gone)).chain(claimed).collect()
    }

    /// The name may be somebody else's next, for whom nothing is that was approved beforehand.
    fn for_good(ctx: &Ctx<'_>, owner: &Jid, gone: &Jid) -> Self {
        let mut turn = Turn::into(ctx, owner, gone, |same| same);
        turn.after.approved = false;
        let mut farewell = Self::in_roster(ctx, turn);
        if ctx.owner_of(owner) == Owner::Claimed {
            // The host program gets its own.
            farewell.letters.clear();
        }
        farewell
    }

    /// What is to be recorded before it is said, with whose account it is of.
    pub(crate) fn change(&self) -> Option<(&str, Change)> {
        let turn = self.turn.as_ref().filter(|turn| turn.before != turn.after)?;
        Some((turn.user(), turn.change()))
    }

    /// Says it.
    pub(crate) fn say(&self, ctx: &mut Ctx<'_>) {
        for letter in &self.letters {
            match ctx.owner_of(&letter.to) {
                Owner::Claimed if ctx.events.has_room() => letter.hand_over(ctx),
                Owner::Claimed => log::error!("the host program misses that {} parts", letter.from),
                _ => deliver(ctx, letter),
            }
        }
        if let Some(turn) = &self.turn {
            turn.push(ctx);
            if turn.hides_the_owner() {
                presence::withdraw(ctx, &turn.owner, &turn.contact);
            }
        }
    }
}

/// RFC 6121 4.3.2, rule 1: `prober` wants to see somebody who does not let it. If it believes that it may, it is told.
pub(crate) fn deny(ctx: &mut Ctx<'_>, prober: &Jid, somebody: &Jid, id: Option<&str>) {
    let (prober, somebody) = (prober.to_bare(), somebody.to_bare());
    let believes = match ctx.owner_of(&prober) {
        Owner::Account(user) => {
            let contact = ctx.tables.accounts.contact(user, somebody.as_str());
            contact.is_some_and(|contact| contact.subscription.is_to())
        }
        Owner::Claimed => true,
        Owner::Host | Owner::Elsewhere => false,
    };
    if believes {
        let mut letter = Letter::new(&somebody, &prober, SubscriptionType::Unsubscribed);
        if let Some(id) = id {
            letter.element.set_attr("id", id.to_owned());
        }
        send(ctx, &letter);
    }
}

/// Lets `watcher` see `watched`, as if the one had asked and the other agreed. The host program wants it so, whatever
/// the limits.
pub(crate) fn agree(ctx: &mut Ctx<'_>, watcher: &Jid, watched: &Jid) -> Result<(), NotRecorded> {
    let to = Turn::into(ctx, watcher, watched, Subscription::with_to);
    let from = Turn::into(ctx, watched, watcher, Subscription::with_from);
    let changes = [&to, &from].map(|turn| (turn.user(), turn.change()));
    ctx.tables.change_all(changes.into())?;
    from.push(ctx);
    to.push(ctx);
    if to.before != to.after {
        presence::share(ctx, watched, watcher);
    }
    Ok(())
}

/// What a letter does to one roster.
struct Turn {
    /// Whose roster.
    owner: Jid,
    /// Of whom it speaks.
    contact: Jid,
    before: Contact,
    after: Contact,
    step: Step,
}

impl Turn {
    fn new(ctx: &Ctx<'_>, owner: &Jid, contact: &Jid, step: impl FnOnce(&Contact) -> Step) -> Self {
        let user = owner.local().unwrap_or_default();
        let before = ctx.tables.accounts.contact(user, contact.as_str()).cloned().unwrap_or_default();
        let step = step(&before);
        let after = before.after(step);
        Self { owner: owner.clone(), contact: contact.clone(), before, after, step }
    }

    /// The sender's, if it has a roster here.
    fn of_sender(ctx: &Ctx<'_>, letter: &Letter) -> Option<Self> {
        let Owner::Account(_) = ctx.owner_of(&letter.from) else { return None };
        let step = |contact: &Contact| contact.subscription.outbound(letter.kind);
        let mut turn = Self::new(ctx, &letter.from, &letter.to, step);
        if letter.kind == SubscriptionType::Unsubscribed {
            // RFC 6121 3.4.2: so is an approval taken back.
            turn.after.approved = false;
        }
        Some(turn)
    }

    fn of_recipient(ctx: &Ctx<'_>, letter: &Letter) -> Self {
        let is_blocked = blocking::has_blocked(ctx.config, &ctx.tables.accounts, &letter.to, &letter.from);
        let step = |contact: &Contact| {
            let step = contact.subscription.inbound(letter.kind, contact.approved);
            if is_blocked {
                unheard(letter.kind, contact, step)
            } else {
                step
            }
        };
        let mut turn = Self::new(ctx, &letter.to, &letter.from, step);
        let asks = turn.after.subscription.is_pending_in();
        if asks && !turn.before.subscription.is_pending_in() {
            let most_bytes = ctx.config.limits.subscription_request_bytes;
            turn.after.request = Some(Box::new(letter.to_be_kept(most_bytes)));
        }
        turn
    }

    /// One that leads straight to another state.
    fn into(ctx: &Ctx<'_>, owner: &Jid, contact: &Jid, next: fn(Subscription) -> Subscription) -> Self {
        let step = |contact: &Contact| {
            let next = next(contact.subscription);
            Step { next, passes: false, approves: false, answer: None }
        };
        Self::new(ctx, owner, contact, step)
    }

    /// Whose roster, by localpart.
    fn user(&self) -> &str {
        self.owner.local().unwrap_or_default()
    }

    fn change(&self) -> Change {
        Change::Contact(self.contact.clone(), self.after.clone().kept())
    }

    /// Tells the owner's resources, if they see any difference.
    fn push(&self, ctx: &mut Ctx<'_>) {
        if self.before.item() != self.after.item() {
            roster::push(ctx, &self.owner, &self.contact);
        }
    }

    /// Whether the contact sees the owner no longer.
    fn hides_the_owner(&self) -> bool {
        self.before.subscription.is_from() && !self.after.subscription.is_from()
    }
}

/// XEP-0191 3.3: nothing that a blocked contact says is heard or answered. Yet an answer or an end of the contact's takes
/// its turn, so that the two rosters agree once the block has gone.
fn unheard(kind: SubscriptionType, contact: &Contact, step: Step) -> Step {
    let next = match kind {
        SubscriptionType::Subscribe => contact.subscription,
        _ => step.next,
    };
    Step { next, passes: false, approves: false, answer: None }
}
