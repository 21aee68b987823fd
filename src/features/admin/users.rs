//! Accounts: made, ended, given a password, counted, listed.
//!
//! Read first: XEP-0133 4.1, 4.2, 4.7, 4.13, 4.18. Left out on purpose: the new user's name and electronic mail
//! address, which belong into a vCard, and only its owner writes that.

use super::{account, accounts, is_admin, list, our_address, ACCOUNTS, LIST_FORM, NS};
use crate::features::{bad_payload, Command, Done};
use crate::im::ctx::Ctx;
use crate::im::removal;
use crate::tables::{User, SALT_BYTES};
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::form::{self, Field, Filled, Form};
use crate::xmpp::jid::Jid;

const ACCOUNT: Field = Field {
    var: "accountjid",
    kind: "jid-single",
    label: "Address of the account",
    required: true,
    options: &[],
};

const PASSWORD: Field =
    Field { var: "password", kind: "text-private", label: "Password", required: true, options: &[] };

const PASSWORD_AGAIN: Field = Field {
    var: "password-verify",
    kind: "text-private",
    label: "The password again",
    required: false,
    options: &[],
};

pub(super) const ADD: Command = Command {
    node: "http://jabber.org/protocol/admin#add-user",
    name: "Add a user",
    allowed: is_admin,
    form: Some(&Form {
        kind: NS,
        title: "A new user",
        instructions: "Which address and password shall the account have?",
        fields: &[ACCOUNT, PASSWORD, PASSWORD_AGAIN],
    }),
    run: add,
};

pub(super) const DELETE: Command = Command {
    node: "http://jabber.org/protocol/admin#delete-user",
    name: "Delete users",
    allowed: is_admin,
    form: Some(&Form {
        kind: NS,
        title: "Users to delete",
        instructions: "Which accounts shall end, with all that is kept for them?",
        fields: &[ACCOUNTS],
    }),
    run: delete,
};

pub(super) const CHANGE_PASSWORD: Command = Command {
    node: "http://jabber.org/protocol/admin#change-user-password",
    name: "Change a user's password",
    allowed: is_admin,
    form: Some(&Form {
        kind: NS,
        title: "A new password",
        instructions: "Which account shall have which password?",
        fields: &[ACCOUNT, PASSWORD],
    }),
    run: change_password,
};

pub(super) const NUMBER: Command = Command {
    node: "http://jabber.org/protocol/admin#get-registered-users-num",
    name: "Count all users",
    allowed: is_admin,
    form: None,
    run: number,
};

pub(super) const LIST: Command = Command {
    node: "http://jabber.org/protocol/admin#get-registered-users-list",
    name: "List all users",
    allowed: is_admin,
    form: Some(&LIST_FORM),
    run: list_all,
};

fn add(ctx: &mut Ctx<'_>, _: &Jid, filled: &Filled<'_>) -> Result<Done, StanzaError> {
    let address = our_address(ctx, &filled.one(ACCOUNT.var).unwrap_or_default())?;
    let password = filled.one(PASSWORD.var).unwrap_or_default();
    if filled.one(PASSWORD_AGAIN.var).is_some_and(|again| again != password) {
        return Err(bad_payload("the two passwords differ"));
    }
    let salt = salt(ctx)?;
    ctx.tables.create_account(user(ctx, &address)?, &password, &salt)?;
    Ok(Done::default())
}

/// All of them, or none if one of them is not there or the end of one cannot be recorded.
fn delete(ctx: &mut Ctx<'_>, _: &Jid, filled: &Filled<'_>) -> Result<Done, StanzaError> {
    let mut addresses = accounts(ctx, filled, ACCOUNTS.var)?;
    addresses.sort_unstable();
    addresses.dedup();
    removal::remove_accounts(ctx, &addresses)?;
    Ok(Done::default())
}

fn change_password(ctx: &mut Ctx<'_>, _: &Jid, filled: &Filled<'_>) -> Result<Done, StanzaError> {
    let address = account(ctx, &filled.one(ACCOUNT.var).unwrap_or_default())?;
    let (password, salt) = (filled.one(PASSWORD.var).unwrap_or_default(), salt(ctx)?);
    ctx.tables.set_password(user(ctx, &address)?, &password, &salt)?;
    Ok(Done::default())
}

fn user<'j>(ctx: &Ctx<'_>, address: &'j Jid) -> Result<User<'j>, Condition> {
    User::at(ctx.config, address).ok_or(Condition::NotAcceptable)
}

fn salt(ctx: &mut Ctx<'_>) -> Result<[u8; SALT_BYTES], Condition> {
    ctx.random.bytes().map_err(|_| Condition::InternalServerError)
}

fn number(ctx: &mut Ctx<'_>, _: &Jid, _: &Filled<'_>) -> Result<Done, StanzaError> {
    let number = ctx.tables.accounts.len().to_string();
    Ok(Done::form(form::result(NS, [("registeredusersnum", "Users", vec![number])])))
}

fn list_all(ctx: &mut Ctx<'_>, _: &Jid, filled: &Filled<'_>) -> Result<Done, StanzaError> {
    list(ctx, filled, "registereduserjids", "All users", ctx.tables.accounts.names())
}
