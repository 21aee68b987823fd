//! Who may see whose presence: asked for, granted, refused, given up.
//!
//! Read first: RFC 6121 section 3, and Appendix A, which [`crate::tables::Subscription`] has as a table. A stanza first
//! takes effect in both rosters and is recorded there; only then is anybody told, the sender's resources first. Left
//! out on purpose: other servers. The host program's addresses are treated as if they were at one.

use crate::im::blocking;
use crate::im::ctx::Ctx;
use crate::im::presence;
use crate::im::roster;
use crate::outbox::{Hold, Outbound};
use crate::tables::{AccountChange, Contact, Destination, NotRecorded, Step, Subscription, User};
use crate::xml::ns;
use crate::xml::writer::Broadcast;
use crate::xml::Element;
use crate::xmpp::config::Config;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{Stanza, SubscriptionType};

/// A subscription stanza.
struct SubscriptionStanza {
    /// Both addresses are bare (RFC 6121 section 3).
    from: Jid,
    to: Jid,
    kind: SubscriptionType,
    /// The stanza without its `to`.
    element: Element,
}

impl SubscriptionStanza {
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
    sent: &Stanza,
) -> Result<(), StanzaError> {
    let (from, to) = (from.to_bare(), to.to_bare());
    if from == to {
        return Err(StanzaError::because(Condition::NotAllowed, "you see your own presence anyway"));
    }
    let mut element = sent.element.clone();
    element.set_attr("from", from.as_str().to_owned());
    element.remove_attr("to");
    let stanza = SubscriptionStanza { from, to, kind, element };
    check_reachable(ctx, &stanza.to)?;
    let transition = Transition::of_sender(ctx, &stanza);
    let recipient = match &transition {
        Some(transition) if !transition.step.passes => None,
        _ => Some(Recipient::of(ctx, &stanza)?),
    };
    record(ctx, transition.iter().chain(recipient.as_ref().and_then(Recipient::transition)))?;
    if let Some(transition) = transition {
        tell_sender(ctx, &transition);
    }
    if let Some(recipient) = recipient {
        tell(ctx, &stanza, &recipient);
    }
    Ok(())
}

fn check_reachable(ctx: &Ctx<'_>, to: &Jid) -> Result<(), Condition> {
    match ctx.destination(to) {
        Destination::Account(_) | Destination::Service(_) => Ok(()),
        Destination::Host => Err(Condition::ServiceUnavailable),
        Destination::Remote(_) => Err(Condition::RemoteServerNotFound),
    }
}

/// Records what a subscription stanza does to one roster or two, if there is room for it: all of it or nothing.
fn record<'t>(
    ctx: &mut Ctx<'_>,
    transitions: impl Iterator<Item = &'t Transition>,
) -> Result<(), StanzaError> {
    let transitions: Vec<_> =
        transitions.filter(|transition| transition.before != transition.after).collect();
    for transition in &transitions {
        let Some(user) = transition.user(ctx.config) else { continue };
        roster::check_room(ctx, user, &transition.contact, Some(&transition.after))?;
    }
    let config = ctx.config;
    let changes = transitions.into_iter().filter_map(|t| Some((t.user(config)?, t.change())));
    Ok(ctx.tables.change_all(changes.collect())?)
}

/// RFC 6121 3.1.2, 3.1.5, 3.2.2 and 3.3.2: the sender's side.
fn tell_sender(ctx: &mut Ctx<'_>, transition: &Transition) {
    if transition.hides_the_owner() {
        // While the contact still sees the owner (RFC 6121 3.2.2).
        presence::withdraw(ctx, &transition.owner, &transition.contact);
    }
    transition.push(ctx);
}

/// Where a subscription stanza arrives.
enum Recipient {
    /// With an account, whose roster it changes.
    Account(Transition),
    /// With the host program.
    HostProgram,
    /// With nobody.
    Nowhere,
}

impl Recipient {
    fn of(ctx: &Ctx<'_>, stanza: &SubscriptionStanza) -> Result<Self, Condition> {
        match ctx.destination(&stanza.to) {
            Destination::Service(_) if ctx.events.has_room() => Ok(Self::HostProgram),
            Destination::Service(_) => Err(Condition::ResourceConstraint),
            Destination::Account(user) if ctx.tables.accounts.exists(user) => {
                Ok(Self::Account(Transition::of_recipient(ctx, stanza)))
            }
            Destination::Account(_) | Destination::Host | Destination::Remote(_) => Ok(Self::Nowhere),
        }
    }

    fn transition(&self) -> Option<&Transition> {
        match self {
            Self::Account(transition) => Some(transition),
            Self::HostProgram | Self::Nowhere => None,
        }
    }
}

/// RFC 6121 3.1.3, 3.1.6, 3.2.3 and 3.3.3: the recipient's side. The stanza comes before the push that follows from it.
fn tell(ctx: &mut Ctx<'_>, stanza: &SubscriptionStanza, recipient: &Recipient) {
    match recipient {
        Recipient::Account(transition) => {
            if transition.step.passes {
                deliver(ctx, stanza);
            }
            transition.push(ctx);
            if transition.hides_the_owner() {
                presence::withdraw(ctx, &transition.owner, &transition.contact);
            }
            if let Some(answer) = transition.step.answer {
                send(ctx, &stanza.answered(answer));
            }
        }
        Recipient::HostProgram => stanza.hand_over(ctx),
        // Who asks for the presence of nobody is told what one who does not exist would not say.
        Recipient::Nowhere if stanza.kind == SubscriptionType::Subscribe => {
            send(ctx, &stanza.answered(SubscriptionType::Unsubscribed));
        }
        Recipient::Nowhere => (),
    }
    if stanza.kind == SubscriptionType::Subscribed {
        presence::share(ctx, &stanza.from, &stanza.to);
    }
}

/// RFC 6121 2.2: requests go to those who are available, the rest to those who have the roster.
fn deliver(ctx: &mut Ctx<'_>, stanza: &SubscriptionStanza) {
    let Some(user) = User::at(ctx.config, &stanza.to) else { return };
    let sessions = ctx.tables.sessions.of(user).iter();
    let streams: Vec<Key> = sessions
        .filter(|session| match stanza.kind {
            SubscriptionType::Subscribe => session.presence.is_some(),
            _ => session.interested,
        })
        .map(|session| session.stream)
        .collect();
    let written = Broadcast::new(&stanza.element, ns::CLIENT);
    for stream in streams {
        ctx.outboxes.send(stream, Outbound::Broadcast(&written, stanza.to.as_str(), Hold::Never));
    }
}

/// Sends a stanza of ours, about which nobody can be told if it fails.
fn send(ctx: &mut Ctx<'_>, stanza: &SubscriptionStanza) {
    let recipient = Recipient::of(ctx, stanza).map_err(StanzaError::from);
    let recorded =
        recipient.and_then(|recipient| record(ctx, recipient.transition().into_iter()).map(|()| recipient));
    match recorded {
        Ok(recipient) => tell(ctx, stanza, &recipient),
        Err(error) => {
            log::error!("{:?} of {} does not reach {}: {error:?}", stanza.kind, stanza.from, stanza.to);
        }
    }
}

/// What it means to the other one that all is over between an owner and a contact, whichever way presence flowed and
/// whoever had asked (RFC 6121 2.5.2).
pub(crate) struct Cancellation {
    stanzas: Vec<SubscriptionStanza>,
    /// In the other one's roster, if that is kept here.
    transition: Option<Transition>,
}

impl Cancellation {
    /// One that is to be said to `contact`, whom `owner` has had in this state.
    pub(crate) fn new(ctx: &Ctx<'_>, owner: &Jid, contact: &Jid, left: Subscription) -> Self {
        match ctx.destination(contact) {
            Destination::Account(user) if ctx.tables.accounts.exists(user) => {
                Self::in_roster(ctx, Transition::into(ctx, contact, owner, |same| same))
            }
            Destination::Service(_) => Self::to_host_program(owner, contact, left),
            Destination::Account(_) | Destination::Host | Destination::Remote(_) => {
                Self { stanzas: Vec::new(), transition: None }
            }
        }
    }

    /// Whoever is blocked parts without a word (XEP-0191 3.3).
    fn in_roster(ctx: &Ctx<'_>, mut transition: Transition) -> Self {
        let is_heard =
            !blocking::has_blocked(ctx.config, &ctx.tables.accounts, &transition.owner, &transition.contact);
        let mut stanzas = Vec::new();
        for kind in [SubscriptionType::Unsubscribe, SubscriptionType::Unsubscribed] {
            let step = transition.after.subscription.inbound(kind, false);
            transition.after = transition.after.after(step);
            stanzas.extend(
                (step.passes && is_heard)
                    .then(|| SubscriptionStanza::new(&transition.contact, &transition.owner, kind)),
            );
        }
        Self { stanzas, transition: Some(transition) }
    }

    fn to_host_program(owner: &Jid, contact: &Jid, left: Subscription) -> Self {
        let unsubscribe = left.is_to() || left.is_pending_out();
        let unsubscribed = left.is_from() || left.is_pending_in();
        let kinds = unsubscribe.then_some(SubscriptionType::Unsubscribe).into_iter();
        let kinds = kinds.chain(unsubscribed.then_some(SubscriptionType::Unsubscribed));
        Self {
            stanzas: kinds.map(|kind| SubscriptionStanza::new(owner, contact, kind)).collect(),
            transition: None,
        }
    }

    /// XEP-0077 3.2: those that are to be said when the account of `gone` ends.
    pub(crate) fn all_of(ctx: &Ctx<'_>, gone: &Jid) -> Vec<Self> {
        let accounts = &ctx.tables.accounts;
        let user = User::at(ctx.config, gone).into_iter();
        let contacts = user.flat_map(|user| accounts.contacts(user));
        let is_service = |address: &Jid| ctx.tables.hosts.service_at(address).is_some();
        let claimed = contacts.filter(|(address, _)| is_service(address));
        let claimed = claimed.map(|(address, c)| Self::to_host_program(gone, address, c.subscription));
        let knows = accounts.who_know(gone.as_str()).into_iter();
        let knows = knows.filter_map(|name| Jid::new(Some(name.as_str()), gone.domain(), None).ok());
        knows.map(|owner| Self::for_good(ctx, &owner, gone)).chain(claimed).collect()
    }

    /// The name may be somebody else's next, for whom nothing is that was approved beforehand.
    fn for_good(ctx: &Ctx<'_>, owner: &Jid, gone: &Jid) -> Self {
        let mut transition = Transition::into(ctx, owner, gone, |same| same);
        transition.after.approved = false;
        let mut cancellation = Self::in_roster(ctx, transition);
        if ctx.tables.hosts.service_at(owner).is_some() {
            // The host program gets its own.
            cancellation.stanzas.clear();
        }
        cancellation
    }

    /// What is to be recorded before it is said, with the account that it is of.
    pub(crate) fn change(&self, config: &Config) -> Option<(User<'_>, AccountChange)> {
        let transition =
            self.transition.as_ref().filter(|transition| transition.before != transition.after)?;
        Some((transition.user(config)?, transition.change()))
    }

    /// Tells it.
    pub(crate) fn tell(&self, ctx: &mut Ctx<'_>) {
        for stanza in &self.stanzas {
            match ctx.destination(&stanza.to) {
                Destination::Service(_) if ctx.events.has_room() => stanza.hand_over(ctx),
                Destination::Service(_) => log::error!("the host program misses that {} parts", stanza.from),
                _ => deliver(ctx, stanza),
            }
        }
        if let Some(transition) = &self.transition {
            transition.push(ctx);
            if transition.hides_the_owner() {
                presence::withdraw(ctx, &transition.owner, &transition.contact);
            }
        }
    }
}

/// RFC 6121 4.3.2, rule 1: `prober` wants to see somebody who does not let it. If it believes that it may, it is told.
pub(crate) fn deny(ctx: &mut Ctx<'_>, prober: &Jid, somebody: &Jid, id: Option<&str>) {
    let (prober, somebody) = (prober.to_bare(), somebody.to_bare());
    let believes = match ctx.destination(&prober) {
        Destination::Account(user) => {
            let contact = ctx.tables.accounts.contact(user, somebody.as_str());
            contact.is_some_and(|contact| contact.subscription.is_to())
        }
        Destination::Service(_) => true,
        Destination::Host | Destination::Remote(_) => false,
    };
    if believes {
        let mut stanza = SubscriptionStanza::new(&somebody, &prober, SubscriptionType::Unsubscribed);
        if let Some(id) = id {
            stanza.element.set_attr("id", id.to_owned());
        }
        send(ctx, &stanza);
    }
}

/// Lets `watcher` see `watched`, as if the one had asked and the other agreed. The host program wants it so, whatever
/// the limits.
pub(crate) fn agree(ctx: &mut Ctx<'_>, watcher: &Jid, watched: &Jid) -> Result<(), NotRecorded> {
    let to = Transition::into(ctx, watcher, watched, Subscription::with_to);
    let from = Transition::into(ctx, watched, watcher, Subscription::with_from);
    let config = ctx.config;
    let changes = [&to, &from].into_iter().filter_map(|t| Some((t.user(config)?, t.change())));
    ctx.tables.change_all(changes.collect())?;
    from.push(ctx);
    to.push(ctx);
    if to.before != to.after {
        presence::share(ctx, watched, watcher);
    }
    Ok(())
}

/// What a subscription stanza does to one roster.
struct Transition {
    /// Whose roster.
    owner: Jid,
    /// Of whom it speaks.
    contact: Jid,
    before: Contact,
    after: Contact,
    step: Step,
}

impl Transition {
    fn new(ctx: &Ctx<'_>, owner: &Jid, contact: &Jid, step: impl FnOnce(&Contact) -> Step) -> Self {
        let user = User::at(ctx.config, owner);
        let before = user.and_then(|user| ctx.tables.accounts.contact(user, contact.as_str()));
        let before = before.cloned().unwrap_or_default();
        let step = step(&before);
        let after = before.after(step);
        Self { owner: owner.clone(), contact: contact.clone(), before, after, step }
    }

    /// The sender's, if it has a roster here.
    fn of_sender(ctx: &Ctx<'_>, stanza: &SubscriptionStanza) -> Option<Self> {
        let Destination::Account(_) = ctx.destination(&stanza.from) else { return None };
        let step = |contact: &Contact| contact.subscription.outbound(stanza.kind);
        let mut transition = Self::new(ctx, &stanza.from, &stanza.to, step);
        if stanza.kind == SubscriptionType::Unsubscribed {
            // RFC 6121 3.4.2: so is an approval taken back.
            transition.after.approved = false;
        }
        Some(transition)
    }

    fn of_recipient(ctx: &Ctx<'_>, stanza: &SubscriptionStanza) -> Self {
        let is_blocked = blocking::has_blocked(ctx.config, &ctx.tables.accounts, &stanza.to, &stanza.from);
        let step = |contact: &Contact| {
            let step = contact.subscription.inbound(stanza.kind, contact.approved);
            if is_blocked {
                unheard(stanza.kind, contact, step)
            } else {
                step
            }
        };
        let mut transition = Self::new(ctx, &stanza.to, &stanza.from, step);
        let asks = transition.after.subscription.is_pending_in();
        if asks && !transition.before.subscription.is_pending_in() {
            let most_bytes = ctx.config.limits.subscription_request_bytes;
            transition.after.request = Some(Box::new(stanza.to_be_kept(most_bytes)));
        }
        transition
    }

    /// One that leads straight to another state.
    fn into(ctx: &Ctx<'_>, owner: &Jid, contact: &Jid, next: fn(Subscription) -> Subscription) -> Self {
        let step = |contact: &Contact| {
            let next = next(contact.subscription);
            Step { next, passes: false, approves: false, answer: None }
        };
        Self::new(ctx, owner, contact, step)
    }

    /// Whose roster, which is one of ours.
    fn user(&self, config: &Config) -> Option<User<'_>> {
        User::at(config, &self.owner)
    }

    fn change(&self) -> AccountChange {
        AccountChange::Subscription(self.contact.clone(), self.after.state_since(&self.before))
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

/// XEP-0191 3.3: nothing that a blocked contact says is heard or answered. Yet an answer or an end of the contact's is
/// recorded, so that the two rosters agree once the block has gone.
fn unheard(kind: SubscriptionType, contact: &Contact, step: Step) -> Step {
    let next = match kind {
        SubscriptionType::Subscribe => contact.subscription,
        _ => step.next,
    };
    Step { next, passes: false, approves: false, answer: None }
}
