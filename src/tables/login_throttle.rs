//! How often logins have failed lately, from where and for whom.
//!
//! One address may fail so often, one account so much oftener that a single address cannot use up what the account has:
//! nobody locks another out. An account is known here by a hash of its name: names that nobody has are tried as well,
//! long ones too, and each is to cost the same. Left out on purpose: passwords.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use super::rate_limiter::RateLimiter;
use crate::xmpp::config::Rate;

pub(crate) struct LoginThrottle {
    by_address: RateLimiter<IpAddr>,
    of_account: RateLimiter<u64>,
    hasher: RandomState,
}

impl LoginThrottle {
    pub(crate) fn new(by_address: Rate, of_account: Rate) -> Self {
        Self {
            by_address: RateLimiter::new(by_address),
            of_account: RateLimiter::new(of_account),
            hasher: RandomState::new(),
        }
    }

    /// Whether a login for `user` from `address` may be tried.
    pub(crate) fn allows(&self, address: Option<IpAddr>, user: &str, now: Duration) -> bool {
        let address_may = address.map_or(true, |address| self.by_address.allows(&address, now));
        address_may && self.of_account.allows(&self.hasher.hash_one(user), now)
    }

    /// A login has failed; for `user`, if that can be one.
    pub(crate) fn note(&mut self, address: Option<IpAddr>, user: Option<&str>, now: Duration) {
        if let Some(address) = address {
            self.by_address.note(address, now);
        }
        if let Some(user) = user {
            self.of_account.note(self.hasher.hash_one(user), now);
        }
    }
}
