//! How the server is.
//!
//! XEP-0133 has no command for it, so the node is our own; fields that it does not define begin with `x-` (XEP-0068).
//! Left out on purpose: what the system knows better (memory, load).

use super::{is_admin, NS};
use crate::features::{Command, Done};
use crate::im::ctx::Ctx;
use crate::xmpp::error::StanzaError;
use crate::xmpp::form::{self, Filled};
use crate::xmpp::jid::Jid;

pub(super) const STATISTICS: Command = Command {
    node: "loquat#statistics",
    name: "Show statistics",
    allowed: is_admin,
    form: None,
    run: statistics,
};

fn statistics(ctx: &mut Ctx<'_>, _: &Jid, _: &Filled<'_>) -> Result<Done, StanzaError> {
    let sessions = &ctx.tables.sessions;
    let fields = [
        ("x-version", "Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("x-uptime", "Seconds since the start", ctx.uptime.as_secs().to_string()),
        ("registeredusersnum", "Users", ctx.tables.accounts.len().to_string()),
        ("onlineusersnum", "Users who are online", sessions.users().count().to_string()),
        (
            "x-sessions",
            "Sessions",
            sessions.users().map(|user| sessions.of(user).len()).sum::<usize>().to_string(),
        ),
    ];
    Ok(Done::form(form::result(NS, fields.map(|(var, label, value)| (var, label, vec![value])))))
}
