//! How a subscription comes about and ends: nine states, and what each stanza makes of each.
//!
//! Read first: RFC 6121 Appendix A, whose tables 2 to 9 stand here once as a sender's server and once as a recipient's
//! server reads them: a row for each state, a column for each stanza. Left out on purpose: who is told.

use crate::xmpp::stanza::SubscriptionType;

/// Which way presence flows between an account's owner and a contact, and who has asked for more (RFC 6121 A.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Subscription {
    /// Neither way.
    #[default]
    None,
    /// Neither way; the owner has asked.
    NonePendingOut,
    /// Neither way; the contact has asked.
    NonePendingIn,
    /// Neither way; both have asked.
    NonePendingOutIn,
    /// The owner sees the contact.
    To,
    /// The owner sees the contact, who has asked.
    ToPendingIn,
    /// The contact sees the owner.
    From,
    /// The contact sees the owner, who has asked.
    FromPendingOut,
    /// Both ways.
    Both,
}

/// What a stanza does to one side of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// The state afterwards.
    pub(crate) next: Subscription,
    /// The stanza goes on: to the contact if it went out, to the owner if it came in.
    pub(crate) passes: bool,
    /// It approves a request that is still to come (RFC 6121 3.4).
    pub(crate) approves: bool,
    /// What the owner's server answers for the owner.
    pub(crate) answer: Option<SubscriptionType>,
}

/// What the four stanzas do in one state.
struct Row {
    subscribe: Cell,
    unsubscribe: Cell,
    subscribed: Cell,
    unsubscribed: Cell,
}

impl Row {
    fn cell(self, kind: SubscriptionType) -> Cell {
        match kind {
            SubscriptionType::Subscribe => self.subscribe,
            SubscriptionType::Unsubscribe => self.unsubscribe,
            SubscriptionType::Subscribed => self.subscribed,
            SubscriptionType::Unsubscribed => self.unsubscribed,
        }
    }
}

/// A cell of the tables.
#[derive(Clone, Copy)]
enum Cell {
    /// It goes on, and leads to this state.
    Then(Subscription),
    /// The same, and `unsubscribed` is answered.
    Ends(Subscription),
    /// It goes on, and nothing changes.
    Goes,
    /// It does not go on, and nothing changes.
    Stops,
    /// It does not go on: it is an approval given before anybody has asked.
    Approves,
    /// It does not go on; it asks for what is already there, so `subscribed` is answered.
    Is,
}

impl Subscription {
    /// RFC 6121 A.2: the owner sends a stanza to the contact.
    pub(crate) fn outbound(self, kind: SubscriptionType) -> Step {
        self.step(self.outbound_row().cell(kind))
    }

    /// RFC 6121 A.3: a stanza of the contact comes for the owner, who may have approved a request beforehand.
    pub(crate) fn inbound(self, kind: SubscriptionType, approved: bool) -> Step {
        let step = self.step(self.inbound_row().cell(kind));
        if !(approved && kind == SubscriptionType::Subscribe && step.passes) {
            return step;
        }
        // RFC 6121 3.4.2: as if the owner had answered at once.
        let next = step.next.outbound(SubscriptionType::Subscribed).next;
        Step { next, passes: false, answer: Some(SubscriptionType::Subscribed), ..step }
    }

    /// Tables 2, 3, 4 and 5.
    #[rustfmt::skip]
    fn outbound_row(self) -> Row {
        use Cell::{Approves, Goes, Stops, Then};
        use Subscription::*;
        let row = |subscribe, unsubscribe, subscribed, unsubscribed| {
            Row { subscribe, unsubscribe, subscribed, unsubscribed }
        };
        match self {
            //                      subscribe               unsubscribe          subscribed            unsubscribed
            None             => row(Then(NonePendingOut),   Goes,                Approves,             Stops),
            NonePendingOut   => row(Goes,                   Then(None),          Approves,             Stops),
            NonePendingIn    => row(Then(NonePendingOutIn), Goes,                Then(From),           Then(None)),
            NonePendingOutIn => row(Goes,                   Then(NonePendingIn), Then(FromPendingOut), Then(NonePendingOut)),
            To               => row(Goes,                   Then(None),          Approves,             Stops),
            ToPendingIn      => row(Goes,                   Then(NonePendingIn), Then(Both),           Then(To)),
            From             => row(Then(FromPendingOut),   Goes,                Stops,                Then(None)),
            FromPendingOut   => row(Goes,                   Then(From),          Stops,                Then(NonePendingOut)),
            Both             => row(Goes,                   Then(From),          Stops,                Then(To)),
        }
    }

    /// Tables 6, 7, 8 and 9.
    #[rustfmt::skip]
    fn inbound_row(self) -> Row {
        use Cell::{Ends, Is, Stops, Then};
        use Subscription::*;
        let row = |subscribe, unsubscribe, subscribed, unsubscribed| {
            Row { subscribe, unsubscribe, subscribed, unsubscribed }
        };
        match self {
            //                      subscribe               unsubscribe           subscribed         unsubscribed
            None             => row(Then(NonePendingIn),    Stops,                Stops,             Stops),
            NonePendingOut   => row(Then(NonePendingOutIn), Stops,                Then(To),          Then(None)),
            NonePendingIn    => row(Stops,                  Ends(None),           Stops,             Stops),
            NonePendingOutIn => row(Stops,                  Ends(NonePendingOut), Then(ToPendingIn), Then(NonePendingIn)),
            To               => row(Then(ToPendingIn),      Stops,                Stops,             Then(None)),
            ToPendingIn      => row(Stops,                  Ends(To),             Stops,             Then(NonePendingIn)),
            From             => row(Is,                     Ends(None),           Stops,             Stops),
            FromPendingOut   => row(Is,                     Ends(NonePendingOut), Then(Both),        Then(From)),
            Both             => row(Is,                     Ends(To),             Stops,             Then(From)),
        }
    }

    fn step(self, cell: Cell) -> Step {
        let (next, passes, approves, answer) = match cell {
            Cell::Then(next) => (next, true, false, None),
            Cell::Ends(next) => (next, true, false, Some(SubscriptionType::Unsubscribed)),
            Cell::Goes => (self, true, false, None),
            Cell::Stops => (self, false, false, None),
            Cell::Approves => (self, false, true, None),
            Cell::Is => (self, false, false, Some(SubscriptionType::Subscribed)),
        };
        Step { next, passes, approves, answer }
    }

    /// Whether the owner sees the contact.
    pub(crate) fn is_to(self) -> bool {
        matches!(self, Self::To | Self::ToPendingIn | Self::Both)
    }

    /// Whether the contact sees the owner.
    pub(crate) fn is_from(self) -> bool {
        matches!(self, Self::From | Self::FromPendingOut | Self::Both)
    }

    /// Whether the owner has asked and the contact has not answered.
    pub(crate) fn is_pending_out(self) -> bool {
        matches!(self, Self::NonePendingOut | Self::NonePendingOutIn | Self::FromPendingOut)
    }

    /// Whether the contact has asked and the owner has not answered.
    pub(crate) fn is_pending_in(self) -> bool {
        matches!(self, Self::NonePendingIn | Self::NonePendingOutIn | Self::ToPendingIn)
    }

    /// The value of the attribute (RFC 6121 2.1.2.5).
    pub(crate) fn name(self) -> &'static str {
        match (self.is_to(), self.is_from()) {
            (false, false) => "none",
            (true, false) => "to",
            (false, true) => "from",
            (true, true) => "both",
        }
    }

    /// The state whose attribute has this value, with a request under way or without.
    pub(crate) fn named(name: &str, pending_out: bool, pending_in: bool) -> Option<Self> {
        Some(match (name, pending_out, pending_in) {
            ("none", false, false) => Self::None,
            ("none", true, false) => Self::NonePendingOut,
            ("none", false, true) => Self::NonePendingIn,
            ("none", true, true) => Self::NonePendingOutIn,
            ("to", _, false) => Self::To,
            ("to", _, true) => Self::ToPendingIn,
            ("from", false, _) => Self::From,
            ("from", true, _) => Self::FromPendingOut,
            ("both", _, _) => Self::Both,
            _ => return None,
        })
    }

    /// The state once the owner sees the contact as well.
    pub(crate) fn with_to(self) -> Self {
        let asked = self.outbound(SubscriptionType::Subscribe).next;
        asked.inbound(SubscriptionType::Subscribed, false).next
    }

    /// The state once the contact sees the owner as well.
    pub(crate) fn with_from(self) -> Self {
        let asked = self.inbound(SubscriptionType::Subscribe, false).next;
        asked.outbound(SubscriptionType::Subscribed).next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Subscription::{
        Both, From, FromPendingOut, None as Neither, NonePendingIn, NonePendingOut, NonePendingOutIn, To,
        ToPendingIn,
    };
    use SubscriptionType::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};

    /// In the order of RFC 6121 A.1.
    const STATES: [Subscription; 9] = [
        Neither,
        NonePendingOut,
        NonePendingIn,
        NonePendingOutIn,
        To,
        ToPendingIn,
        From,
        FromPendingOut,
        Both,
    ];

    const KINDS: [SubscriptionType; 4] = [Subscribe, Unsubscribe, Subscribed, Unsubscribed];

    fn short(state: Subscription) -> String {
        let sides = match state.name() {
            "none" => "N",
            "to" => "T",
            "from" => "F",
            _ => "B",
        };
        let pending = |is: bool, sign| if is { sign } else { "" };
        format!("{sides}{}{}", pending(state.is_pending_out(), "o"), pending(state.is_pending_in(), "i"))
    }

    /// A cell as the tables below have it: whether it goes on, the new state, what else happens.
    fn cell(state: Subscription, step: Step) -> String {
        let goes_on = if step.passes { "yes" } else { "no" };
        let next = if step.next == state { "-".into() } else { short(step.next) };
        let also = match (step.approves, step.answer) {
            (true, _) => " pre-approval",
            (_, Some(Subscribed)) => " +subscribed",
            (_, Some(Unsubscribed)) => " +unsubscribed",
            _ => "",
        };
        format!("{goes_on} {next}{also}")
    }

    type Table = (SubscriptionType, [&'static str; 9]);

    /// The columns of tables 2 to 5: "ROUTE?" and "NEW STATE", from "None" down to "Both".
    const OUTBOUND: [Table; 4] = [
        (Subscribe, ["yes No", "yes -", "yes Noi", "yes -", "yes -", "yes -", "yes Fo", "yes -", "yes -"]),
        (Unsubscribe, ["yes -", "yes N", "yes -", "yes Ni", "yes N", "yes Ni", "yes -", "yes F", "yes F"]),
        (
            Subscribed,
            [
                "no - pre-approval",
                "no - pre-approval",
                "yes F",
                "yes Fo",
                "no - pre-approval",
                "yes B",
                "no -",
                "no -",
                "no -",
            ],
        ),
        (Unsubscribed, ["no -", "no -", "yes N", "yes No", "no -", "yes T", "yes N", "yes No", "yes T"]),
    ];

    /// The columns of tables 6 to 9: "DELIVER?" and "NEW STATE".
    const INBOUND: [Table; 4] = [
        (
            Subscribe,
            [
                "yes Ni",
                "yes Noi",
                "no -",
                "no -",
                "yes Ti",
                "no -",
                "no - +subscribed",
                "no - +subscribed",
                "no - +subscribed",
            ],
        ),
        (
            Unsubscribe,
            [
                "no -",
                "no -",
                "yes N +unsubscribed",
                "yes No +unsubscribed",
                "no -",
                "yes T +unsubscribed",
                "yes N +unsubscribed",
                "yes No +unsubscribed",
                "yes T +unsubscribed",
            ],
        ),
        (Subscribed, ["no -", "yes T", "no -", "yes Ti", "no -", "no -", "no -", "yes B", "no -"]),
        (Unsubscribed, ["no -", "yes N", "no -", "yes Ni", "yes N", "yes Ni", "no -", "yes F", "yes F"]),
    ];

    #[test]
    fn the_tables_of_appendix_a() {
        for (state, row) in STATES.into_iter().zip(0..) {
            for (kind, column) in OUTBOUND {
                assert_eq!(cell(state, state.outbound(kind)), column[row], "{state:?}, {kind:?} goes out");
            }
            for (kind, column) in INBOUND {
                assert_eq!(
                    cell(state, state.inbound(kind, false)),
                    column[row],
                    "{state:?}, {kind:?} comes in"
                );
            }
        }
    }

    #[test]
    fn an_approval_given_before_answers_a_request() {
        let after = |state: Subscription| cell(state, state.inbound(Subscribe, true));
        assert_eq!(after(Neither), "no F +subscribed");
        assert_eq!(after(NonePendingOut), "no Fo +subscribed");
        assert_eq!(after(To), "no B +subscribed");
        assert_eq!(after(From), "no - +subscribed");
        assert_eq!(Neither.inbound(Unsubscribe, true), Neither.inbound(Unsubscribe, false));
    }

    /// What the contact's roster says of the owner.
    fn mirrored(state: Subscription) -> Subscription {
        let name = match state.name() {
            "to" => "from",
            "from" => "to",
            same => same,
        };
        Subscription::named(name, state.is_pending_in(), state.is_pending_out()).unwrap()
    }

    #[test]
    fn whatever_one_sends_both_sides_stay_true_to_each_other() {
        for (state, kind, approved) in STATES
            .into_iter()
            .flat_map(|state| KINDS.map(|kind| (state, kind)))
            .flat_map(|(state, kind)| [(state, kind, false), (state, kind, true)])
        {
            let out = state.outbound(kind);
            let mut mine = out.next;
            let mut theirs = mirrored(state);
            if out.passes {
                let step = theirs.inbound(kind, approved);
                theirs = step.next;
                mine = step.answer.map_or(mine, |answer| mine.inbound(answer, false).next);
            }
            assert_eq!(theirs, mirrored(mine), "{kind:?} in state {state:?}, approved: {approved}");
        }
    }

    #[test]
    fn names_read_back() {
        for state in STATES {
            let again = Subscription::named(state.name(), state.is_pending_out(), state.is_pending_in());
            assert_eq!(again, Some(state));
        }
        assert_eq!(Subscription::named("remove", false, false), None);
    }

    #[test]
    fn agreed_at_once() {
        assert_eq!(
            STATES.map(|state| short(state.with_to())),
            ["T", "T", "Ti", "Ti", "T", "Ti", "B", "B", "B"]
        );
        assert_eq!(
            STATES.map(|state| short(state.with_from())),
            ["F", "Fo", "F", "Fo", "B", "B", "F", "Fo", "B"]
        );
    }
}
