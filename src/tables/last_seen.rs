//! When an account was last here, and what it said as it left.
//!
//! Read first: XEP-0012 section 3. The time is the system's, which may be wrong and may jump: it can make a while seem
//! long or short, never negative. Left out on purpose: accounts that are here.

use std::time::Duration;

use super::portable::Part;
use super::AccountChange;
use crate::xml::Element;

/// The end of an account's presence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LastSeen {
    /// In seconds since 1970.
    pub(crate) at: u64,
    pub(crate) status: Option<Box<str>>,
}

impl LastSeen {
    /// Of a status, so many bytes at most are kept.
    pub(crate) fn new(since_1970: Duration, status: Option<&str>, most: usize) -> Self {
        let status = status.map(|status| cut(status, most)).filter(|status| !status.is_empty());
        Self { at: since_1970.as_secs(), status: status.map(Into::into) }
    }

    /// How many seconds ago that was.
    pub(crate) fn seconds_ago(&self, since_1970: Duration) -> u64 {
        since_1970.as_secs().saturating_sub(self.at)
    }
}

/// As many whole characters as `most` bytes hold.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The format has no word for it, so it is as XEP-0012 would say it, but for the time.
pub(super) const PART: Part = Part {
    write: |account, user| account.last_seen().map(to_element).into_iter().fold(user, Element::with),
    read: |user| user.children().filter(|part| part.is("query", LAST)).filter_map(read).collect(),
};

const LAST: &str = "jabber:iq:last";

pub(super) fn to_element(seen: &LastSeen) -> Element {
    let query = Element::new("query", LAST).with_attr("at", seen.at.to_string());
    match &seen.status {
        Some(status) => query.with_text(status.to_string()),
        None => query,
    }
}

fn read(query: &Element) -> Option<AccountChange> {
    let status = Some(query.text()).filter(|status| !status.is_empty()).map(Into::into);
    Some(AccountChange::LastSeen(LastSeen { at: query.attr("at")?.parse().ok()?, status }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_clock_that_jumps_never_makes_it_negative() {
        let seen = LastSeen::new(HOUR, None, 10);
        assert_eq!(seen.seconds_ago(HOUR + Duration::from_millis(5_900)), 5);
        assert_eq!(seen.seconds_ago(HOUR), 0);
        assert_eq!(seen.seconds_ago(Duration::ZERO), 0);
        assert_eq!(LastSeen::new(Duration::MAX, None, 10).seconds_ago(HOUR), 0);
        assert_eq!(seen.seconds_ago(Duration::MAX), u64::MAX - 3_600);
    }

    #[test]
    fn a_status_is_cut_between_characters() {
        let status = |text: &str| LastSeen::new(HOUR, Some(text), 6).status;
        assert_eq!(status("123456").as_deref(), Some("123456"));
        assert_eq!(status("1234567").as_deref(), Some("123456"));
        assert_eq!(status("再见").as_deref(), Some("再见"));
        assert_eq!(status("再见吧").as_deref(), Some("再见"));
        assert_eq!(status("1再见").as_deref(), Some("1再"));
        assert_eq!(status(""), None);
        assert_eq!(LastSeen::new(HOUR, Some("再"), 2).status, None);
    }
}
