//! The moment in which the last resource of an account goes.
//!
//! Read first: XEP-0012 section 3. Left out on purpose: who may know ([`crate::features`]).

use crate::im::ctx::Ctx;
use crate::tables::{AccountChange, LastSeen, User};

/// A resource of `user` has just become unavailable, and said this or nothing. What matters is when the last one does.
pub(crate) fn note(ctx: &mut Ctx<'_>, user: User<'_>, status: Option<&str>) {
    if ctx.tables.sessions.available(user).next().is_some() || !ctx.tables.accounts.exists(user) {
        return;
    }
    let seen = LastSeen::new(ctx.now.since_1970, status, ctx.config.limits.status_bytes);
    // Nobody waits for this, so nobody can be told if it fails; the recorder has complained.
    let _ = ctx.tables.change(user, AccountChange::LastSeen(seen));
}
