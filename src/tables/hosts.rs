//! What is ours: the host, its accounts, its services. All else is another server's.
//!
//! Read first: RFC 6120 2.1 (what an address is for). A stanza's `to` is resolved here, once ([`Hosts::destination`]).
//! Tables are asked by [`User`], which only an address at our own domain has: the same localpart elsewhere is somebody
//! else. Left out on purpose: whether there is such an account, and what a service does.

use std::fmt;

use crate::xmpp::config::Config;
use crate::xmpp::jid::Jid;

/// A localpart at our own domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct User<'n>(&'n str);

impl<'n> User<'n> {
    /// Of an address at our domain (not at one of its aliases, which were folded before).
    pub(crate) fn at(config: &Config, address: &'n Jid) -> Option<Self> {
        address.local().filter(|_| address.domain() == config.domain()).map(Self)
    }

    /// A name that a table has.
    pub(super) fn named(name: &'n str) -> Self {
        Self(name)
    }

    pub(crate) fn as_str(self) -> &'n str {
        self.0
    }
}

#[cfg(test)]
impl<'n> From<&'n str> for User<'n> {
    fn from(name: &'n str) -> Self {
        Self(name)
    }
}

impl fmt::Display for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination<'j> {
    /// The server's own.
    Host,
    /// An account's.
    Account(User<'j>),
    /// A service's: a domain or an address of ours that answers for itself.
    Service(ServiceKey),
    /// Another server's, which has this domain.
    Remote(&'j str),
}

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServiceKey(pub(crate) usize);

impl ServiceKey {
    /// The host program, which claims addresses while the server runs.
    pub(crate) const HOST_PROGRAM: Self = Self(0);
}

/// Where a service is.
struct Place {
    /// A bare address, or a whole domain.
    address: Jid,
    /// Its localpart, if it is at our own domain: no account can have this name.
    name: Option<Box<str>>,
    service: ServiceKey,
}

/// Whose which address is.
#[derive(Default)]
pub(crate) struct Hosts {
    places: Vec<Place>,
}

impl Hosts {
    /// Gives an address, or all of a domain, to a service.
    pub(crate) fn add(&mut self, config: &Config, address: Jid, service: ServiceKey) {
        let name = User::at(config, &address).map(|user| user.as_str().into());
        if !self.places.iter().any(|place| place.address == address) {
            self.places.push(Place { address, name, service });
        }
    }

    /// The service that has this address, or all of its domain.
    pub(crate) fn service_at(&self, address: &Jid) -> Option<ServiceKey> {
        let is_there = |place: &&Place| {
            let theirs = place.address.as_str();
            theirs == address.bare_str() || theirs == address.domain()
        };
        self.places.iter().find(is_there).map(|place| place.service)
    }

    /// Whether a service has the address that an account of this name would have.
    pub(super) fn has(&self, user: User<'_>) -> bool {
        self.places.iter().any(|place| place.name.as_deref() == Some(user.as_str()))
    }

    /// Whose an address is, at the one true domain if it is at ours.
    pub(crate) fn destination<'j>(&self, config: &Config, address: &'j Jid) -> Destination<'j> {
        if let Some(service) = self.service_at(address) {
            return Destination::Service(service);
        }
        match User::at(config, address) {
            Some(user) => Destination::Account(user),
            None if address.domain() == config.domain() => Destination::Host,
            None => Destination::Remote(address.domain()),
        }
    }

    /// The domains that services have as a whole.
    pub(crate) fn domains(&self) -> impl Iterator<Item = &str> {
        self.places
            .iter()
            .map(|place| &place.address)
            .filter(|address| address.local().is_none())
            .map(Jid::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_an_address_is() {
        let config = Config::new("chat.lan").unwrap();
        let mut hosts = Hosts::default();
        hosts.add(&config, "rooms.chat.lan".parse().unwrap(), ServiceKey(1));
        hosts.add(&config, "bot@chat.lan".parse().unwrap(), ServiceKey::HOST_PROGRAM);
        let cases = [
            ("chat.lan", Destination::Host),
            ("chat.lan/x", Destination::Host),
            ("romeo@chat.lan", Destination::Account(User::named("romeo"))),
            ("romeo@chat.lan/x", Destination::Account(User::named("romeo"))),
            ("bot@chat.lan/x", Destination::Service(ServiceKey::HOST_PROGRAM)),
            ("rooms.chat.lan", Destination::Service(ServiceKey(1))),
            ("romeo@rooms.chat.lan/x", Destination::Service(ServiceKey(1))),
            ("romeo@other.lan", Destination::Remote("other.lan")),
        ];
        for (address, whose) in cases {
            let address: Jid = address.parse().unwrap();
            assert_eq!(hosts.destination(&config, &address), whose, "{address}");
        }
        assert_eq!(User::at(&config, &"romeo@rooms.chat.lan".parse().unwrap()), None);
        assert_eq!(hosts.domains().collect::<Vec<_>>(), ["rooms.chat.lan"]);
    }
}
