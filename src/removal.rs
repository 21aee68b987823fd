//! The end of an account, and of sessions that are ended from outside.
//!
//! Read first: XEP-0077 3.2 (what goes with an account). Left out on purpose: who may end them ([`crate::features`]).

use crate::ctx::Ctx;
use crate::error::StreamError;
use crate::jid::Jid;
use crate::presence;
use crate::slab::Key;
use crate::tables::{Change, Contact, NotRecorded, Subscription};

/// XEP-0077 3.2: an account goes, with its roster and all its streams. They end behind what they are sent now.
pub(crate) fn remove_account(ctx: &mut Ctx<'_>, user: &str) -> Result<(), NotRecorded> {
    // Those who may know that it was there are known only as long as the account is.
    let streams = withdraw(ctx, user, None);
    cancel_subscriptions(ctx, user)?;
    ctx.tables.change(user, Change::Removed)?;
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
            presence::withdraw(ctx, &address);
        }
    }
    meant.into_iter().map(|(_, stream)| stream).collect()
}

fn end(ctx: &mut Ctx<'_>, streams: &[Key], error: StreamError) {
    for &stream in streams {
        ctx.outboxes.end(stream, Some(error));
    }
}

/// XEP-0077 3.2: nobody sees the presence of the account any more, and whoever has its name next sees nobody's.
fn cancel_subscriptions(ctx: &mut Ctx<'_>, user: &str) -> Result<(), NotRecorded> {
    let Ok(account) = Jid::new(Some(user), ctx.config.domain(), None) else { return Ok(()) };
    let contacts: Vec<Jid> = ctx.tables.accounts.contacts(user).map(|(address, _)| address.clone()).collect();
    for name in contacts.iter().filter_map(|contact| ctx.config.account(contact)) {
        if let Some(item) = ctx.tables.accounts.contact(name, account.as_str()) {
            let item = Contact { subscription: Subscription::None, ..item.clone() };
            ctx.tables.change(name, Change::Contact(account.clone(), Some(item)))?;
        }
    }
    Ok(())
}
