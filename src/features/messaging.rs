//! What the server does with messages on their way, as documents name it.
//!
//! Nobody asks for these, so there is nothing to answer here; [`crate::routing::router`], [`crate::im::offline`] and
//! [`crate::im::delay`] do them.

use super::Feature;

pub(super) const OFFLINE: Feature = Feature {
    spec: "XEP-0160: Best Practices for Handling Offline Messages",
    disco: &["msgoffline"],
    ..Feature::NOTHING
};

pub(super) const DELAY: Feature = Feature { spec: "XEP-0203: Delayed Delivery", ..Feature::NOTHING };

pub(super) const HINTS: Feature = Feature { spec: "XEP-0334: Message Processing Hints", ..Feature::NOTHING };
