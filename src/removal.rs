//! The end of an account, and of sessions that are ended from outside.
//!
//! Read first: XEP-0077 3.2 (what goes with an account). Left out on purpose: who may end them ([`crate::features`]).

use crate::ctx::Ctx;
use crate::error::StreamError;
use crate::jid::Jid;
use crate::presence;
use crate::slab::Key;
use crate::subscriptions;
use crate::tables::{Change, NotRecorded};

/// XEP-0077 3.2: an account goes, with its roster and all its streams. They end behind what they are sent now.
pub(crate) fn remove_account(ctx: &mut Ctx<'_>, user: &str) -> Result<(), NotRecorded> {
    let contacts = ctx.tables.accounts.contacts(user);
    let contacts: Vec<_> =
        contacts.map(|(address, contact)| (address.clone(), contact.subscription)).collect();
    ctx.tables.change(user, Change::Removed)?;
    let Ok(gone) = Jid::new(Some(user), ctx.config.domain(), None) else { return Ok(()) };
    for (contact, _) in contacts.iter().filter(|(_, subscription)| subscription.is_from()) {
        presence::withdraw(ctx, &gone, contact);
    }
    let streams = withdraw(ctx, user, None);
    subscriptions::bury(ctx, &gone, &contacts);
    end(ctx, &streams, StreamError::NotAuthorized);
    Ok(())
}

/// Ends the sessions of an account, or of one resource, and tells how many there were. Their streams end behind what they
/// are sent now.
pub(crate) fn end_sessions(
    ctx: &mut Ctx<'_>,
    user: &str,
    resource: Option<&str>,
    error: StreamError,
) -> usize {
    let streams = withdraw(ctx, user, resource);
    end(ctx, &streams, error);
    streams.len()
}

/// Says for the sessions of an account, or of one resource, that they are unavailable. Tells which streams they are on.
fn withdraw(ctx: &mut Ctx<'_>, user: &str, resource: Option<&str>) -> Vec<Key> {
    let sessions = ctx.tables.sessions.of(user).iter();
    let meant = sessions.filter(|session| resource.map_or(true, |resource| *session.resource == *resource));
    let meant: Vec<_> = meant.map(|session| (session.resource.clone(), session.stream)).collect();
    for (resource, _) in &meant {
        if let Ok(address) = Jid::new(Some(user), ctx.config.domain(), Some(resource)) {
            presence::leave(ctx, &address);
        }
    }
    meant.into_iter().map(|(_, stream)| stream).collect()
}

fn end(ctx: &mut Ctx<'_>, streams: &[Key], error: StreamError) {
    for &stream in streams {
        ctx.outboxes.end(stream, Some(error));
    }
}
