//! The end of an account, and of sessions that are ended from outside.
//!
//! Read first: XEP-0077 3.2 (what goes with an account). Left out on purpose: who may end them ([`crate::features`]).

use crate::ctx::Ctx;
use crate::error::StreamError;
use crate::jid::Jid;
use crate::presence;
use crate::tables::{Change, NotRecorded};

/// XEP-0077 3.2: an account goes, with all that was kept for it and all its streams.
pub(crate) fn remove_account(ctx: &mut Ctx<'_>, user: &str) -> Result<(), NotRecorded> {
    end_sessions(ctx, user, None, StreamError::NotAuthorized);
    ctx.tables.change(user, Change::Removed)
}

/// Ends the sessions of an account, or of one resource, and tells how many there were. Their streams end behind what they
/// are sent now.
pub(crate) fn end_sessions(
    ctx: &mut Ctx<'_>,
    user: &str,
    resource: Option<&str>,
    error: StreamError,
) -> usize {
    let sessions = ctx.tables.sessions.of(user).iter();
    let meant = sessions.filter(|session| resource.map_or(true, |resource| *session.resource == *resource));
    let meant: Vec<_> = meant.map(|session| (session.resource.clone(), session.stream)).collect();
    for (resource, stream) in &meant {
        if let Ok(address) = Jid::new(Some(user), ctx.config.domain(), Some(resource)) {
            presence::gone(ctx, &address, *stream);
        }
        ctx.outboxes.end(*stream, Some(error));
    }
    meant.len()
}
