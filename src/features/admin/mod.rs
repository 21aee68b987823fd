//! What an administrator can do from a client.
//!
//! Read first: XEP-0133. An administrator is an account that the program was told of ([`crate::Config::add_admin`]).
//! [`COMMANDS`] lists what there is; adding a command is a constant and a line here. Left out on purpose: what there is
//! nothing behind (disabled users, black and white lists, messages of the day), passwords that are shown, and shutting
//! down, which is for whoever has the machine.

mod sessions;
mod statistics;
mod users;

use crate::features::{bad_payload, Command, Done, Feature};
use crate::im::ctx::Ctx;
use crate::tables::User;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::form::{self, Field, Filled, Form};
use crate::xmpp::jid::Jid;

/// XEP-0133 8.2: what defines the fields of the forms.
const NS: &str = "http://jabber.org/protocol/admin";

pub(super) const FEATURE: Feature =
    Feature { spec: "XEP-0133: Service Administration", commands: COMMANDS, ..Feature::NOTHING };

const COMMANDS: &[Command] = &[
    users::ADD,
    users::DELETE,
    users::CHANGE_PASSWORD,
    users::NUMBER,
    users::LIST,
    sessions::NUMBER,
    sessions::LIST_USERS,
    sessions::LIST,
    sessions::END,
    sessions::ANNOUNCE,
    statistics::STATISTICS,
];

fn is_admin(ctx: &Ctx<'_>, from: &Jid) -> bool {
    ctx.config.is_admin(from)
}

/// Which accounts.
const ACCOUNTS: Field = Field {
    var: "accountjids",
    kind: "jid-multi",
    label: "Addresses of the accounts",
    required: true,
    options: &[],
};

/// How much of a list is wanted (XEP-0133 4.18).
const LIST_FORM: Form = Form {
    kind: NS,
    title: "A list",
    instructions: "How much of it?",
    fields: &[Field {
        var: "max_items",
        kind: "list-single",
        label: "Addresses to show",
        required: false,
        options: &["25", "50", "75", "100", "150", "200", "none"],
    }],
};

/// The addresses of a field, each of an account that there is.
fn accounts(ctx: &Ctx<'_>, filled: &Filled<'_>, var: &str) -> Result<Vec<Jid>, StanzaError> {
    filled.all(var).iter().map(|text| account(ctx, text)).collect()
}

fn account(ctx: &Ctx<'_>, text: &str) -> Result<Jid, StanzaError> {
    let address = our_address(ctx, text)?;
    match User::at(ctx.config, &address).is_some_and(|user| ctx.tables.accounts.exists(user)) {
        true => Ok(address),
        false => Err(StanzaError::because(Condition::ItemNotFound, format!("{address}: no such account"))),
    }
}

/// An address that an account here has or could have, at the host's true name.
fn our_address(ctx: &Ctx<'_>, text: &str) -> Result<Jid, StanzaError> {
    let address: Jid = text.trim().parse().map_err(|error| bad_payload(format!("{text}: {error}")))?;
    if address.local().is_none() || !ctx.config.is_ours(address.domain()) {
        return Err(bad_payload(format!("{address}: not an address of an account here")));
    }
    address.at_domain(ctx.config.domain()).map_err(|error| bad_payload(error.to_string()))
}

/// A list of addresses as far as it was asked for, and as far as one who reads slowly can be sent it.
fn list(
    ctx: &Ctx<'_>,
    filled: &Filled<'_>,
    var: &'static str,
    label: &'static str,
    mut names: Vec<Box<str>>,
) -> Result<Done, StanzaError> {
    let most = match filled.one("max_items").as_deref() {
        None | Some("none") => usize::MAX,
        Some(number) => number.parse().map_err(|_| bad_payload("max_items: a number, or none"))?,
    };
    names.sort_unstable();
    let all = names.len();
    let addresses = names.iter().map(|name| format!("{name}@{}", ctx.config.domain()));
    let shown: Vec<String> = within_room(ctx, addresses.take(most), String::len).collect();
    let left_out = all.min(most) - shown.len();
    Ok(with_rest(Done::form(form::result(NS, [(var, label, shown)])), left_out))
}

/// Half of what may wait for a client.
fn within_room<'i, T: 'i>(
    ctx: &Ctx<'_>,
    items: impl Iterator<Item = T> + 'i,
    bytes: fn(&T) -> usize,
) -> impl Iterator<Item = T> + 'i {
    /// About what the tags around an item take.
    const TAGS: usize = 100;
    let mut room = ctx.config.limits.outbox_bytes / 2;
    items.take_while(move |item| {
        let fits = bytes(item) + TAGS <= room;
        room = room.saturating_sub(bytes(item) + TAGS);
        fits
    })
}

fn with_rest(done: Done, left_out: usize) -> Done {
    match left_out {
        0 => done,
        n => done.with_note("warn", format!("{n} more are not shown")),
    }
}
