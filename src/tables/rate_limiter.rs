//! How often somebody has done something lately.
//!
//! Each key has a debt that each deed adds to and time pays off; whoever owes more than a burst is to wait. The table
//! has a limit, and who owes least is forgotten first. Left out on purpose: what was done, and what follows.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::xmpp::config::Rate;

/// The most keys that are remembered.
const MAX_KEYS: usize = 4_096;

/// The debts of many.
pub(crate) struct RateLimiter<K> {
    rate: Rate,
    /// The time at which each will have paid.
    paid_at: HashMap<K, Duration>,
}

impl<K: Eq + Hash + Clone> RateLimiter<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, paid_at: HashMap::new() }
    }

    /// Whether `key` may do it once more.
    pub(crate) fn allows(&self, key: &K, now: Duration) -> bool {
        let owed = self.paid_at.get(key).map_or(Duration::ZERO, |paid_at| paid_at.saturating_sub(now));
        owed.saturating_add(self.rate.interval) <= self.rate.interval.saturating_mul(self.rate.burst)
    }

    /// `key` has done it.
    pub(crate) fn note(&mut self, key: K, now: Duration) {
        if self.paid_at.len() >= MAX_KEYS && !self.paid_at.contains_key(&key) {
            self.forget_some(now);
        }
        let paid_at = self.paid_at.entry(key).or_insert(now);
        *paid_at = (*paid_at).max(now).saturating_add(self.rate.interval);
    }

    fn forget_some(&mut self, now: Duration) {
        self.paid_at.retain(|_, paid_at| *paid_at > now);
        if self.paid_at.len() < MAX_KEYS {
            return;
        }
        let least = self.paid_at.iter().min_by_key(|(_, paid_at)| **paid_at).map(|(key, _)| key.clone());
        if let Some(key) = least {
            self.paid_at.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let mut rate_limiter = RateLimiter::new(Rate { burst: 3, interval: SECOND });
        for _ in 0..3 {
            assert!(rate_limiter.allows(&'a', SECOND));
            rate_limiter.note('a', SECOND);
        }
        assert!(!rate_limiter.allows(&'a', SECOND) && rate_limiter.allows(&'b', SECOND));
        assert!(!rate_limiter.allows(&'a', SECOND * 2 - Duration::from_millis(1)));
        assert!(rate_limiter.allows(&'a', SECOND * 2));
        rate_limiter.note('a', SECOND * 2);
        assert!(!rate_limiter.allows(&'a', SECOND * 2));
    }

    #[test]
    fn the_table_has_a_limit_and_forgets_who_owes_least() {
        let mut rate_limiter = RateLimiter::new(Rate { burst: 1, interval: SECOND });
        rate_limiter.note(usize::MAX, SECOND);
        rate_limiter.note(usize::MAX, SECOND);
        (0..MAX_KEYS * 2).for_each(|key| rate_limiter.note(key, SECOND));
        assert_eq!(rate_limiter.paid_at.len(), MAX_KEYS);
        assert!(!rate_limiter.allows(&usize::MAX, SECOND));
        rate_limiter.note(usize::MAX - 1, SECOND * 9);
        assert_eq!(rate_limiter.paid_at.len(), 1);
    }
}
