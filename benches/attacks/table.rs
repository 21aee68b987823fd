//! All attacks, a row for each.
//!
//! Read first: [`ATTACKS`]. What each does stands beside the others of its family.

use crate::server::Setup;
use crate::stage::Stage;
use crate::{disk, doors, memory, readers, work, Result};

/// An attack, and the server that it needs.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) setup: Setup,
    pub(crate) run: fn(&mut Stage<'_>) -> Result<()>,
}

impl Attack {
    /// On a server that has this many accounts and keeps nothing.
    const fn new(
        name: &'static str,
        what: &'static str,
        accounts: usize,
        run: fn(&mut Stage<'_>) -> Result<()>,
    ) -> Self {
        let setup = Setup { accounts, is_kept: false, descriptors: None, flags: &[] };
        Self { name, what, setup, run }
    }

    /// With a data folder.
    const fn kept(mut self) -> Self {
        self.setup.is_kept = true;
        self
    }

    /// With these options.
    const fn with(mut self, flags: &'static [&'static str]) -> Self {
        self.setup.flags = flags;
        self
    }

    /// With no more than so many descriptors.
    const fn limited(mut self, descriptors: u32) -> Self {
        self.setup.descriptors = Some(descriptors);
        self
    }
}

/// The derivation of keys as it is by default.
const DERIVATION: &[&str] = &["--scram-iterations", "4096"];
/// So few that they can be taken quickly.
const FEW_PLACES: &[&str] = &["--max-connections", "4000"];

#[rustfmt::skip] // a row is a line
pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("quiet", "nobody attacks", 0, work::quiet),

    Attack::new("namespaces", "a stanza with a long namespace in 25,000 attributes", 1, memory::namespaces),
    Attack::new("early-namespaces", "the like before login, 200 times, unfinished", 0, memory::early_namespaces),
    Attack::new("attributes", "40,000 attributes unfinished, 20 times", 20, memory::attributes_unfinished),
    Attack::new("children", "2,040 children unfinished, 20 times", 20, memory::children_unfinished),
    Attack::new("presence", "a presence with a long namespace in 2,040 children, probed", 1, memory::presence),
    Attack::new("requests", "1,000 requests for presence of 1 KB to one account", 1_001, memory::requests),
    Attack::new("detached", "400 detached sessions of one account get 1 MB each", 2, memory::detached),
    Attack::new("offline-messages", "600 accounts get all the messages that are kept", 601, memory::waiting_messages),
    Attack::new("deaf-askers", "50 who do not read ask for 100 KB each time", 50, memory::deaf_asker),

    Attack::new("roster-gets", "the largest roster, asked for without end", 1, work::roster_gets),
    Attack::new("blocklist-gets", "the largest blocklist, asked for without end", 1, work::blocklist_gets),
    Attack::new("registrations", "16 connections make accounts", 0, work::registrations).with(DERIVATION),
    Attack::new("taken-names", "500 names asked whether they are taken", 500, work::taken_names),
    Attack::new("passwords", "16 connections change their passwords", 16, work::passwords).with(DERIVATION),
    Attack::new("wrong-passwords", "400 who guess five times each", 100, work::wrong_passwords).with(DERIVATION),
    Attack::new("scram", "16 connections begin logins and never end them", 0, work::scram_beginnings),
    Attack::new("broadcast", "500 sessions of one account say `available` without end", 1, work::broadcast),
    Attack::new("lost-streams", "400 streams lost with 1 MB unacknowledged each", 500, work::lost_streams),
    Attack::new("flapping", "one with 200 contacts comes and goes without end", 201, work::flapping),
    Attack::new("probes", "the same who is told of 200 contacts each time", 201, work::probes),
    Attack::new("inactive", "200 who are inactive have a contact who says much", 201, work::inactive),
    Attack::new("directed", "presence to 100 addresses, and back, without end", 101, work::directed),
    Attack::new("takeovers", "one resource taken over without end", 1, work::takeovers),
    Attack::new("resume-guesses", "16 guess which session they might resume", 16, work::resume_guesses),
    Attack::new("carbons", "100 KB copied to 16 sessions, without end", 2, work::carbons),
    Attack::new("single-bytes", "200 connections send a byte at a time", 200, work::single_bytes),
    Attack::new("white-space", "white space without end", 1, work::white_space),
    Attack::new("entities", "50,000 entities in a text, without end", 1, work::entities),
    Attack::new("unknown-requests", "ten who ask what nobody knows, without end", 10, work::unknown_requests),

    Attack::new("many-resources", "30 contacts with ten resources, long statuses", 31, readers::many_resources),
    Attack::new("vcards", "120 vCards of 40 KB asked for at once", 121, readers::vcards),
    Attack::new("much-waits", "1,000 requests and 100 messages wait for one", 1_001, readers::much_waits),
    Attack::new("many-senders", "200 senders of 6 KB at one reader, ten times", 201, readers::many_senders),
    Attack::new("managed-burst", "3 MB at once on a managed stream", 2, readers::managed_burst),
    Attack::new("sleeping-phone", "a phone dies with 9,000 messages unacknowledged", 2, readers::sleeping_phone),
    Attack::new("never-reads", "50 send to one who never reads", 51, readers::never_reads),
    Attack::new("never-acknowledges", "50 send to one who never acknowledges", 51, readers::silent_reader),
    Attack::new("large-roster", "the largest roster is asked for once", 1, readers::large_roster),

    Attack::new("places", "one address takes all places, without login", 20, doors::places).with(FEW_PLACES),
    Attack::new("comings-and-goings", "connections that come and go", 0, doors::comings_and_goings),
    Attack::new("descriptors", "connections take all descriptors", 0, doors::descriptors).kept().limited(200),

    Attack::new("subscriptions", "ten who ask for presence and take it back", 10, disk::subscriptions).kept(),
    Attack::new("private-storage", "ten who change what they store", 10, disk::private_storage).kept(),
    Attack::new("accounts", "accounts made without end", 0, disk::accounts).kept(),
];
