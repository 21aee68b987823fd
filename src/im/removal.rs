//! The end of an account, and of sessions that are ended from outside.
//!
//! Read first: XEP-0077 3.2 (what goes with an account). Left out on purpose: who may end them ([`crate::features`]).

use crate::im::ctx::Ctx;
use crate::im::presence;
use crate::im::subscriptions::Cancellation;
use crate::tables::{AccountChange, NotRecorded, User};
use crate::xmpp::error::StreamError;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;

/// XEP-0077 3.2: accounts go, each with its roster and all its streams. They end behind what they are sent now.
///
/// All of it is recorded together, with what it means to others' rosters, before anybody is told: if it cannot be,
/// nothing has happened, and if it was, nobody who takes one of the names later finds anything that was for another.
pub(crate) fn remove_accounts(ctx: &mut Ctx<'_>, gone: &[Jid]) -> Result<(), NotRecorded> {
    let ends: Vec<End> = gone.iter().map(|address| End::of(ctx, address)).collect();
    let config = ctx.config;
    let removed =
        gone.iter().filter_map(|address| Some((User::at(config, address)?, AccountChange::Removed)));
    let known = ends.iter().flat_map(|end| &end.cancellations).filter_map(|c| c.change(config));
    ctx.tables.change_all(removed.chain(known).collect())?;
    ends.iter().for_each(|end| end.tell(ctx));
    Ok(())
}

/// The end of one account.
struct End {
    address: Jid,
    /// Who has seen its presence.
    watchers: Vec<Jid>,
    cancellations: Vec<Cancellation>,
}

impl End {
    fn of(ctx: &Ctx<'_>, address: &Jid) -> Self {
        let user = User::at(ctx.config, address).into_iter();
        let contacts = user.flat_map(|user| ctx.tables.accounts.contacts(user));
        let watchers = contacts.filter(|(_, contact)| contact.subscription.is_from());
        let watchers = watchers.map(|(watcher, _)| watcher.clone()).collect();
        Self { address: address.clone(), watchers, cancellations: Cancellation::all_of(ctx, address) }
    }

    fn tell(&self, ctx: &mut Ctx<'_>) {
        for watcher in &self.watchers {
            presence::withdraw(ctx, &self.address, watcher);
        }
        let Some(user) = User::at(ctx.config, &self.address) else { return };
        let streams = withdraw(ctx, user, None);
        self.cancellations.iter().for_each(|cancellation| cancellation.tell(ctx));
        end(ctx, &streams, StreamError::AccountRemoved);
    }
}

/// Ends the sessions of an account, or of one resource, and tells how many there were. Their streams end behind what
/// they are sent now.
pub(crate) fn end_sessions(
    ctx: &mut Ctx<'_>,
    user: User<'_>,
    resource: Option<&str>,
    error: StreamError,
) -> usize {
    let streams = withdraw(ctx, user, resource);
    end(ctx, &streams, error);
    streams.len()
}

/// Says for the sessions of an account, or of one resource, that they are unavailable. Tells which streams they are on.
fn withdraw(ctx: &mut Ctx<'_>, user: User<'_>, resource: Option<&str>) -> Vec<Key> {
    let sessions = ctx.tables.sessions.of(user).iter();
    let meant = sessions.filter(|session| resource.map_or(true, |resource| *session.resource == *resource));
    let meant: Vec<_> = meant.map(|session| (session.resource.clone(), session.stream)).collect();
    for (resource, _) in &meant {
        if let Ok(address) = Jid::new(Some(user.as_str()), ctx.config.domain(), Some(resource)) {
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
