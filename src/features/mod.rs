//! What the server can do, one file for each protocol.
//!
//! A feature is a constant: what it is called, what it offers before login, which requests it answers. [`FEATURES`]
//! lists them all; adding one is a file and a line here. Read first: [`feature`] for what a feature can be.
//! [`crate::routing::dispatch`] finds the handlers and sends their answers. Left out on purpose: messages and presence,
//! whose ways are written out in [`crate::routing::router`] and [`crate::im::presence`].

mod adhoc;
mod admin;
mod bind;
pub(crate) mod blocking;
pub(crate) mod carbons;
mod client_state;
mod disco;
mod entity_time;
mod feature;
mod last_activity;
mod legacy_auth;
mod messaging;
mod ping;
mod private;
mod register;
mod roster;
mod sasl;
mod stream_management;
mod vcard;
mod version;

use feature::{bad_payload, named_address, Awaited, Command, Done, ElementRoute, Mechanism, Node, Stage};
pub(crate) use feature::{Answer, Feature, Login, Outcome, Proved, Route, Target};

/// All features, in the order in which they are offered.
pub(crate) const FEATURES: &[Feature] = &[
    sasl::FEATURE,
    legacy_auth::FEATURE,
    register::FEATURE,
    bind::FEATURE,
    bind::SESSION,
    roster::FEATURE,
    roster::SUBSCRIPTIONS,
    blocking::FEATURE,
    ping::FEATURE,
    stream_management::FEATURE,
    client_state::FEATURE,
    disco::FEATURE,
    entity_time::FEATURE,
    version::FEATURE,
    messaging::OFFLINE,
    carbons::FEATURE,
    messaging::DELAY,
    messaging::HINTS,
    vcard::FEATURE,
    private::FEATURE,
    last_activity::FEATURE,
    adhoc::FEATURE,
    admin::FEATURE,
];

/// The documents that the server implements, as each names itself.
pub fn specs() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|feature| feature.spec)
}
