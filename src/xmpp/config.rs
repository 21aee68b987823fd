//! What a server is told once, before its first stream: its name, its rules, its limits.
//!
//! Left out on purpose: listeners, files, flags; the core has none of them.

use std::time::Duration;

use crate::xml::XmlLimits;
use crate::xmpp::jid::{Jid, JidError};
use crate::xmpp::peer::Peer;

/// What a server is told before it starts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    domain: Jid,
    aliases: Vec<Jid>,
    admins: Vec<Jid>,
    /// Whether anybody may make an account (XEP-0077).
    pub registration: bool,
    /// Whether the login of XEP-0078 is offered. Its digest needs the password itself, which is then kept beside the
    /// keys that stand for it.
    pub legacy_auth: bool,
    /// Where a password may be sent as it is.
    pub plaintext: Plaintext,
    /// Rounds of SCRAM's key derivation for new passwords: the cost of a guess to whoever steals the keys, and of an
    /// account to the server.
    pub scram_iterations: u32,
    /// How long a client may be silent before it is asked whether it is still there; `None` to never ask.
    pub ping_interval: Option<Duration>,
    /// How much of what.
    pub limits: Limits,
}

/// Where a password may be sent as it is: by SASL PLAIN or in `jabber:iq:auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plaintext {
    /// Where it does not leave the machine.
    Loopback,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Config {
    /// A server whose one true name is `domain`. Registration is closed, the limits are the default ones.
    ///
    /// # Errors
    /// If that is no host name or IP address.
    pub fn new(domain: &str) -> Result<Self, JidError> {
        Ok(Self {
            domain: host(domain)?,
            aliases: Vec::new(),
            admins: Vec::new(),
            registration: false,
            legacy_auth: true,
            plaintext: Plaintext::Loopback,
            scram_iterations: 4_096,
            ping_interval: Some(Duration::from_secs(120)),
            limits: Limits::default(),
        })
    }

    /// Adds another name or IP address of the same host: whoever says it means the domain.
    ///
    /// # Errors
    /// If that is no host name or IP address.
    pub fn add_alias(&mut self, alias: &str) -> Result<(), JidError> {
        self.aliases.push(host(alias)?);
        Ok(())
    }

    /// Makes an account an administrator's (XEP-0133). `name` is the part before the `@`; over the wire nobody can
    /// register it.
    ///
    /// # Errors
    /// If that is no name of an account.
    pub fn add_admin(&mut self, name: &str) -> Result<(), JidError> {
        self.admins.push(Jid::new(Some(name), self.domain(), None)?);
        Ok(())
    }

    /// The one true name.
    pub fn domain(&self) -> &str {
        self.domain.as_str()
    }

    /// Whether `address` is an administrator's.
    pub(crate) fn is_admin(&self, address: &Jid) -> bool {
        self.admins.iter().any(|admin| admin.as_str() == address.bare_str())
    }

    /// Whether `peer` may send a password as it is.
    pub(crate) fn takes_plaintext_from(&self, peer: &Peer) -> bool {
        match self.plaintext {
            Plaintext::Loopback => peer.is_local(),
            Plaintext::Always => true,
            Plaintext::Never => false,
        }
    }

    /// Whether `domain` is a name of this host.
    pub(crate) fn is_ours(&self, domain: &str) -> bool {
        domain == self.domain() || self.is_alias(domain)
    }

    /// The address at the one true name, if it is at another name of this host.
    pub(crate) fn canonical(&self, address: Jid) -> Result<Jid, JidError> {
        match self.is_alias(address.domain()) {
            true => address.at_domain(self.domain()),
            false => Ok(address),
        }
    }

    /// Whether `domain` is one of the other names of this host.
    pub(crate) fn is_alias(&self, domain: &str) -> bool {
        self.aliases.iter().any(|alias| alias.as_str() == domain)
    }
}

fn host(name: &str) -> Result<Jid, JidError> {
    if name.contains(['@', '/']) {
        return Err(JidError::BadCharacter);
    }
    Jid::new(None, name, None)
}

/// How much of what. Each is the most that passes; one more does not.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time. One more is refused at once.
    pub connections: usize,
    /// Bytes of a stanza before login (RFC 6120 13.12 wants at least 10,000).
    pub stanza_bytes_before_login: usize,
    /// Bytes of a stanza.
    pub stanza_bytes: usize,
    /// Depth of elements in a stanza, itself included.
    pub depth: usize,
    /// Elements in a stanza, itself included.
    pub elements: usize,
    /// Attributes and namespace declarations in a tag.
    pub attributes: usize,
    /// Bytes of one attribute's value.
    pub attribute_bytes: usize,
    /// Prefixes declared in scope, those of the stream header included.
    pub namespaces: usize,
    /// Bytes of one namespace name.
    pub namespace_name_bytes: usize,
    /// Bytes of all prefixes and namespace names in scope, those of the stream header included.
    pub namespace_bytes: usize,
    /// Streams that have an XML parser at hand (3 KB each). The others make one when they are read from again, which
    /// costs them some microseconds.
    pub parsers: usize,
    /// Bytes that wait for a peer to read them. While more do, whoever adds to them is read from more slowly, and there
    /// are never more than twice as many. One stanza that is longer is not sent at all.
    pub outbox_bytes: usize,
    /// Bytes that were sent and that the peer has not acknowledged (XEP-0198), before the same happens.
    pub unacknowledged_bytes: usize,
    /// Time in which a peer with too much waiting for it must take some of it; one that does not is given up.
    pub stall_time: Duration,
    /// Time from connecting to being logged in.
    pub login_time: Duration,
    /// Time for a peer to take its last bytes once its stream has ended.
    pub closing_time: Duration,
    /// Time for a client to answer our ping.
    pub ping_time: Duration,
    /// Time for a lost stream to be resumed (XEP-0198).
    pub resumption_time: Duration,
    /// Failed logins on one stream.
    pub login_attempts: u32,
    /// Failed logins from one address (of IPv6, one network of 64 bits).
    pub failed_logins_by_address: Rate,
    /// Failed logins of one account, from wherever.
    pub failed_logins_of_account: Rate,
    /// Accounts made from one address; loopback is not limited.
    pub registrations_by_address: Rate,
    /// Bytes of a presence that is kept for those who ask for it, as it is written.
    pub presence_bytes: usize,
    /// Items of a roster.
    pub roster_items: usize,
    /// Groups that a contact is in.
    pub roster_groups: usize,
    /// Bytes of a contact's name, and of a group's.
    pub roster_name_bytes: usize,
    /// Requests for somebody's presence that wait for the answer.
    pub subscription_requests: usize,
    /// Bytes of such a request. A longer one is kept without what it contains.
    pub subscription_request_bytes: usize,
    /// Addresses that an account has blocked (XEP-0191).
    pub blocklist_items: usize,
    /// Addresses that a resource has sent presence to and that are to be told when it goes (RFC 6121 4.6).
    pub directed_presences: usize,
    /// Resources of an account at a time. For one more the oldest goes that has lost its connection, else it is
    /// refused.
    pub resources: usize,
    /// Those of them that wait for their connection to come back (XEP-0198). For one more the oldest goes.
    pub detached_resources: usize,
    /// Stanzas that wait for the host program to take them.
    pub events: usize,
    /// Messages that wait for an account that is offline (XEP-0160).
    pub offline_messages: usize,
    /// Bytes of these messages.
    pub offline_bytes: usize,
    /// Bytes of a vCard (XEP-0054).
    pub vcard_bytes: usize,
    /// Elements in an account's private storage (XEP-0049).
    pub private_elements: usize,
    /// Bytes of them all.
    pub private_bytes: usize,
    /// Bytes that are kept of what an account said as it left (XEP-0012); the rest is cut off.
    pub status_bytes: usize,
    /// Commands whose forms are being filled out (XEP-0050). For one more the oldest is given up.
    pub commands: usize,
    /// Time to fill out the form of a command.
    pub command_time: Duration,
}

/// How often something is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many at once.
    pub burst: u32,
    /// And one more after each such time.
    pub interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            stanza_bytes_before_login: 10_000,
            stanza_bytes: 262_144,
            depth: 64,
            elements: 2_048,
            attributes: 64,
            attribute_bytes: 16_384,
            namespaces: 16,
            namespace_name_bytes: 512,
            namespace_bytes: 2_048,
            parsers: 1_024,
            outbox_bytes: 1_048_576,
            unacknowledged_bytes: 2_097_152,
            stall_time: Duration::from_secs(30),
            login_time: Duration::from_secs(60),
            closing_time: Duration::from_secs(5),
            ping_time: Duration::from_secs(60),
            resumption_time: Duration::from_secs(300),
            login_attempts: 5,
            failed_logins_by_address: Rate { burst: 30, interval: Duration::from_secs(5) },
            failed_logins_of_account: Rate { burst: 300, interval: Duration::from_secs(1) },
            registrations_by_address: Rate { burst: 10, interval: Duration::from_secs(60) },
            presence_bytes: 8_192,
            roster_items: 1_000,
            roster_groups: 16,
            roster_name_bytes: 256,
            subscription_requests: 1_000,
            subscription_request_bytes: 1_024,
            blocklist_items: 1_000,
            directed_presences: 100,
            resources: 16,
            detached_resources: 4,
            events: 1_024,
            offline_messages: 100,
            offline_bytes: 262_144,
            vcard_bytes: 131_072,
            private_elements: 64,
            private_bytes: 65_536,
            status_bytes: 1_024,
            commands: 64,
            command_time: Duration::from_secs(600),
        }
    }
}

impl Limits {
    /// Those that the reader of a new stream holds.
    pub(crate) fn before_login(&self) -> XmlLimits {
        self.of_stanzas(self.stanza_bytes_before_login)
    }

    /// Those that a stanza of one who is logged in, and of the host program, is held to.
    pub(crate) fn after_login(&self) -> XmlLimits {
        self.of_stanzas(self.stanza_bytes)
    }

    fn of_stanzas(&self, stanza_bytes: usize) -> XmlLimits {
        XmlLimits {
            stanza_bytes,
            depth: self.depth,
            elements: self.elements,
            attributes: self.attributes,
            attribute_bytes: self.attribute_bytes,
            namespaces: self.namespaces,
            namespace_name_bytes: self.namespace_name_bytes,
            namespace_bytes: self.namespace_bytes,
            growth_bytes: 4_096 + stanza_bytes / 4,
        }
    }
}

/// Those that a server with the default limits holds its clients to; good enough for a client, too.
impl Default for XmlLimits {
    fn default() -> Self {
        Limits::default().after_login()
    }
}
