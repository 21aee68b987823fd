//! Every limit of [`loquat::Limits`] as a setting: `limit.stanza-bytes 65536` in a file, `--limit.stanza-bytes 65536`
//! on the command line.
//!
//! A limit's name is that of the field, whose documentation says what it means; times are in seconds, and a rate is
//! `BURST/SECONDS`: so many at once, and one more each time that so many seconds have passed.
//! Left out on purpose: the default values, which are the library's.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use loquat::{Limits, Rate};

/// What a limit's setting begins with.
pub(super) const PREFIX: &str = "limit.";

/// A row of the table.
pub(super) struct Limit {
    field_name: &'static str,
    field: fn(&mut Limits) -> Field<'_>,
}

/// A limit's value, by what may be written for it.
enum Field<'l> {
    Count(&'l mut usize),
    /// RFC 6120 13.12: a stanza of 10,000 bytes must pass.
    Stanza(&'l mut usize),
    Attempts(&'l mut u32),
    Time(&'l mut Duration),
    Rate(&'l mut Rate),
}

const COUNTS: RangeInclusive<u32> = 1..=1_000_000_000;
const STANZA_BYTES: RangeInclusive<u32> = 10_000..=100_000_000;
/// Up to a week.
const SECONDS: RangeInclusive<u32> = 1..=604_800;

macro_rules! table {
    ($($field:ident: $kind:ident,)*) => {
        &[$(Limit {
            field_name: stringify!($field),
            field: |limits| Field::$kind(&mut limits.$field),
        }),*]
    };
}

/// All limits.
const LIMITS: &[Limit] = table![
    connections: Count,
    stanza_bytes_before_login: Stanza,
    stanza_bytes: Stanza,
    depth: Count,
    elements: Count,
    attributes: Count,
    attribute_bytes: Count,
    namespaces: Count,
    namespace_name_bytes: Count,
    namespace_bytes: Count,
    parsers: Count,
    outbox_bytes: Count,
    unacknowledged_bytes: Count,
    stall_time: Time,
    login_time: Time,
    closing_time: Time,
    ping_time: Time,
    resumption_time: Time,
    login_attempts: Attempts,
    failed_logins_by_address: Rate,
    failed_logins_of_account: Rate,
    registrations_by_address: Rate,
    presence_bytes: Count,
    roster_items: Count,
    roster_groups: Count,
    roster_name_bytes: Count,
    subscription_requests: Count,
    subscription_request_bytes: Count,
    blocklist_items: Count,
    directed_presences: Count,
    resources: Count,
    detached_resources: Count,
    events: Count,
    offline_messages: Count,
    offline_bytes: Count,
    vcard_bytes: Count,
    private_elements: Count,
    private_bytes: Count,
    status_bytes: Count,
    commands: Count,
    command_time: Time,
];

/// The limit of this name, without [`PREFIX`].
pub(super) fn named(name: &str) -> Option<&'static Limit> {
    LIMITS.iter().find(|limit| limit.name() == name)
}

/// All limits as lines of a settings file.
pub(super) fn lines(mut limits: Limits) -> impl Iterator<Item = String> {
    LIMITS.iter().map(move |limit| format!("{PREFIX}{} {}", limit.name(), (limit.field)(&mut limits)))
}

impl Limit {
    pub(super) fn name(&self) -> String {
        self.field_name.replace('_', "-")
    }

    /// Sets it. An error says what is wanted.
    pub(super) fn set(&self, limits: &mut Limits, value: &str) -> Result<(), String> {
        match (self.field)(limits) {
            Field::Count(field) => *field = size(number(value, COUNTS)?),
            Field::Stanza(field) => *field = size(number(value, STANZA_BYTES)?),
            Field::Attempts(field) => *field = number(value, COUNTS)?,
            Field::Time(field) => *field = seconds(number(value, SECONDS)?),
            Field::Rate(field) => {
                let wanted = "want BURST/SECONDS, such as 30/5";
                let (burst, interval) = value.split_once('/').ok_or(wanted)?;
                *field =
                    Rate { burst: number(burst, COUNTS)?, interval: seconds(number(interval, SECONDS)?) };
            }
        }
        Ok(())
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(value) | Self::Stanza(value) => write!(f, "{value}"),
            Self::Attempts(value) => write!(f, "{value}"),
            Self::Time(value) => write!(f, "{}", value.as_secs()),
            Self::Rate(rate) => write!(f, "{}/{}", rate.burst, rate.interval.as_secs()),
        }
    }
}

/// A number within a range, or what is wanted instead.
pub(super) fn number(value: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("want a number from {} to {}", range.start(), range.end()))
}

/// Lossless: `usize` has 32 bits at least wherever there are sockets.
pub(super) fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(super) fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_in_the_table() {
        let all = format!("{:#?}", Limits::default());
        let fields = all.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
        let fields: Vec<&str> = fields.map(|(name, _)| name).filter(|name| !name.starts_with(' ')).collect();
        let rows = LIMITS.iter().map(|limit| limit.field_name).collect::<Vec<_>>();
        assert_eq!(rows, fields, "a field of `Limits` wants a row in the table above");
    }

    #[test]
    fn the_defaults_can_be_set_and_read_back() {
        let mut limits = Limits::default();
        let defaults: Vec<String> = lines(limits.clone()).collect();
        for line in &defaults {
            let (name, value) = line.strip_prefix(PREFIX).unwrap().split_once(' ').unwrap();
            named(name).unwrap().set(&mut limits, value).unwrap();
        }
        assert_eq!(lines(limits.clone()).collect::<Vec<_>>(), defaults);
        named("ping-time").unwrap().set(&mut limits, "7").unwrap();
        named("registrations-by-address").unwrap().set(&mut limits, "1/2").unwrap();
        assert_eq!(limits.ping_time, Duration::from_secs(7));
        assert_eq!(limits.registrations_by_address, Rate { burst: 1, interval: Duration::from_secs(2) });
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let refused = [
            ("depth", "0"),
            ("stanza-bytes", "9999"),
            ("ping-time", "604801"),
            ("ping-time", "18446744073709551615"),
            ("login-attempts", "-1"),
            ("failed-logins-by-address", "30"),
            ("failed-logins-by-address", "30/0"),
        ];
        for (name, value) in refused {
            let error = named(name).unwrap().set(&mut Limits::default(), value).unwrap_err();
            assert!(error.starts_with("want "), "{name} {value}: {error}");
        }
    }
}
