//! What a host program does to accounts: changes and ends them, takes them out and in, and asks how things are.
//!
//! Read first: [`Server`]. Whoever calls this may do anything; what a client may do is in [`crate::features`].
//! Left out on purpose: [`Server::add_account`], which stands in `local.rs`.

use std::fmt;

use super::{password_rules, Server};
use crate::im::ctx::{Ctx, Now};
use crate::im::removal;
use crate::storage::{Export, LIMITS};
use crate::tables::portable::{read_account, ReadAccount};
use crate::tables::{AccountChange, AccountError, Credential, StorageStatus, User, SALT_BYTES};
use crate::xml::{Element, Node, Reader};
use crate::xmpp::config::Config;
use crate::xmpp::jid::Jid;

/// More rounds of key derivation than anybody wants to wait for at each login.
const MAX_ITERATIONS: u32 = 10_000_000;

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Accounts.
    pub accounts: usize,
    /// Streams, of which some may not be logged in.
    pub streams: usize,
    /// Resources that are logged in.
    pub sessions: usize,
    /// The data folder; `None` if all is in memory.
    pub storage: Option<StorageStatus>,
}

/// Why an account is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportError {
    /// It is not the `<user/>` of XEP-0227.
    NoAccount,
    /// It is at another domain.
    OtherDomain,
    /// Its password is in a form that is not understood, or missing.
    NoPassword,
    /// As with one that is made.
    Account(AccountError),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAccount => f.write_str("no account in the format of XEP-0227"),
            Self::OtherDomain => f.write_str("it is at another domain"),
            Self::NoPassword => f.write_str("neither a password nor keys of SCRAM-SHA-1"),
            Self::Account(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<AccountError> for ImportError {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

impl Server {
    /// Changes an account's password. Its streams go on.
    ///
    /// # Errors
    /// If there is no such account, or the password cannot be one.
    pub fn set_password(&mut self, name: &str, password: &str) -> Result<(), AccountError> {
        let address = self.address_of(name)?;
        let salt = self.salt()?;
        let user = User::at(&self.config, &address).ok_or(AccountError::BadName)?;
        self.tables.set_password(user, password, &salt)
    }

    /// Ends an account and its streams, and forgets all that was kept for it.
    ///
    /// # Errors
    /// If there is no such account, or it cannot be recorded. Then nothing has changed, and nobody was told anything.
    pub fn remove_account(&mut self, name: &str, now: Now) -> Result<(), AccountError> {
        let address = self.address_of(name)?;
        let (_, mut ctx) = self.context(now);
        remove(&mut ctx, &address)?;
        self.work(now);
        Ok(())
    }

    /// The names of all accounts, in order.
    pub fn account_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tables.accounts.names().into_iter().map(String::from).collect();
        names.sort_unstable();
        names
    }

    /// How the server is.
    pub fn status(&self) -> Status {
        Status {
            accounts: self.tables.accounts.len(),
            streams: self.streams.len(),
            sessions: self.tables.sessions.len(),
            storage: self.tables.recorder.as_ref().map(|recorder| recorder.status()),
        }
    }

    /// All accounts as a document in the portable format (XEP-0227), to be written piece by piece with
    /// [`Server::write_export`].
    pub fn export(&self) -> Export {
        Export::new(self.config.domain(), &self.tables.accounts)
    }

    /// Appends the next lines of such a document. Each account is as it is when it is written. `false` behind the last.
    pub fn write_export(&self, export: &mut Export, out: &mut Vec<u8>) -> bool {
        export.write(&self.tables.accounts, out)
    }

    /// Makes an account of one in the portable format (XEP-0227), a `<user/>` element as text, with all that is
    /// understood of it. `host` is the domain that it was at; one at `also` is taken for one of ours, too, and so are
    /// the contacts there.
    ///
    /// # Errors
    /// If it is none of ours, nobody could log in to it, or its name is taken. Then nothing has changed.
    pub fn import(&mut self, user: &str, host: &str, also: Option<&str>) -> Result<(), ImportError> {
        let host: Jid = host.parse().map_err(|_| ImportError::OtherDomain)?;
        let also: Option<Jid> = also.and_then(|also| also.parse().ok());
        let also = also.as_ref().map(Jid::as_str);
        if !self.config.is_ours(host.as_str()) && also != Some(host.as_str()) {
            return Err(ImportError::OtherDomain);
        }
        let element = Reader::read_one(user, "", LIMITS).map_err(|_| ImportError::NoAccount)?;
        let config = &self.config;
        let element =
            moved(&element, &|domain| config.is_alias(domain) || also == Some(domain), config.domain());
        let user = read_account(&element).ok_or(ImportError::NoAccount)?;
        let address = self.address_of(&user.name)?;
        let name = User::at(&self.config, &address).ok_or(AccountError::BadName)?;
        self.tables.check_free(name)?;
        let changes = self.changes_of(user)?;
        let name = User::at(&self.config, &address).ok_or(AccountError::BadName)?;
        let changes = changes.into_iter().map(|change| (name, change)).collect();
        self.tables.change_all(changes).map_err(|_| AccountError::NotRecorded.into())
    }

    /// What makes the account: its credential first, then all else.
    fn changes_of(&mut self, user: ReadAccount) -> Result<Vec<AccountChange>, ImportError> {
        let rules = self.tables.accounts.rules();
        let mut changes = Vec::new();
        for change in user.changes {
            match change {
                AccountChange::Removed => return Err(ImportError::NoAccount),
                AccountChange::Credential(Credential { keys, .. })
                    if !(1..=MAX_ITERATIONS).contains(&keys.iterations) =>
                {
                    return Err(ImportError::NoPassword);
                }
                AccountChange::Credential(Credential { keys, password }) => {
                    let password = password.filter(|_| rules.keeps_passwords);
                    changes.insert(0, AccountChange::Credential(Credential { keys, password }));
                }
                other => changes.push(other),
            }
        }
        if let Some(password) = user.password_only {
            let credential = Credential::new(&password, &self.salt()?, rules)?;
            changes.insert(0, AccountChange::Credential(credential));
        }
        match changes.first() {
            Some(AccountChange::Credential(_)) => Ok(changes),
            _ => Err(ImportError::NoPassword),
        }
    }

    /// Goes on with other settings, as far as that is possible: streams that have begun keep their limits, and the
    /// limits of outboxes, events, failed logins and registrations stay as they were. `false`, and nothing has
    /// changed, if the domain is another one.
    pub fn reconfigure(&mut self, mut config: Config) -> bool {
        if config.domain() != self.config.domain() {
            return false;
        }
        let old = &self.config.limits;
        config.limits.outbox_bytes = old.outbox_bytes;
        config.limits.events = old.events;
        config.limits.failed_logins_by_address = old.failed_logins_by_address;
        config.limits.failed_logins_of_account = old.failed_logins_of_account;
        config.limits.registrations_by_address = old.registrations_by_address;
        self.tables.accounts.set_rules(password_rules(&config));
        self.config = config;
        true
    }

    fn salt(&mut self) -> Result<[u8; SALT_BYTES], AccountError> {
        self.random.bytes::<SALT_BYTES>().map_err(|_| AccountError::NoRandom)
    }
}

/// The account goes, with all that belongs to it.
fn remove(ctx: &mut Ctx<'_>, address: &Jid) -> Result<(), AccountError> {
    let user = User::at(ctx.config, address).ok_or(AccountError::BadName)?;
    if !ctx.tables.accounts.exists(user) {
        return Err(AccountError::Unknown);
    }
    removal::remove_accounts(ctx, std::slice::from_ref(address)).map_err(|_| AccountError::NotRecorded)?;
    log::info!("{address} was ended");
    Ok(())
}

/// The same tree where every address at a domain that is ours now is at our domain.
fn moved(element: &Element, is_ours: &impl Fn(&str) -> bool, domain: &str) -> Element {
    let mut copy = Element::from_parts(
        element.name().to_owned().into(),
        element.ns().to_owned().into(),
        element.attributes().to_vec(),
    );
    for name in ["jid", "from", "to", "value"] {
        let address = element.attr(name).and_then(|address| address.parse::<Jid>().ok());
        if let Some(here) = address
            .filter(|address| is_ours(address.domain()))
            .and_then(|address| address.at_domain(domain).ok())
        {
            copy.set_attr(name, here.as_str().to_owned());
        }
    }
    for node in element.nodes() {
        copy.push(match node {
            Node::Element(child) => Node::Element(moved(child, is_ours, domain)),
            Node::Text(text) => Node::Text(text.clone()),
        });
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{account_line, Document, Part};

    fn server(domain: &str) -> Server {
        let mut config = Config::new(domain).unwrap();
        config.scram_iterations = 2;
        let mut next = 0u8;
        let random = move |bytes: &mut [u8]| {
            next = next.wrapping_add(1);
            bytes.fill(next);
            Ok(())
        };
        Server::new(config, Box::new(random)).unwrap()
    }

    fn exported(server: &Server) -> String {
        let (mut export, mut out) = (server.export(), Vec::new());
        while server.write_export(&mut export, &mut out) {}
        String::from_utf8(out).unwrap()
    }

    /// Imports a document as the program does, line by line. What was refused.
    fn import(server: &mut Server, text: &str, also: Option<&str>) -> Vec<String> {
        let mut document = Document::new(text.as_bytes(), None).unwrap();
        let mut refused = Vec::new();
        while let Some(part) = document.next_part().unwrap() {
            let Part::User(user, host) = part else { continue };
            if let Err(error) = server.import(&account_line(&user), &host, also) {
                refused.push(format!("{}: {error}", user.attr("name").unwrap_or_default()));
            }
        }
        refused
    }

    #[test]
    fn what_is_exported_can_be_imported() {
        let mut old = server("chat.lan");
        for name in ["罗密欧", "juliet", "nurse"] {
            old.add_account(name, &format!("<pass> '{name}'\"&")).unwrap();
        }
        old.subscribe("juliet", "罗密欧").unwrap();
        let text = exported(&old);
        assert_eq!(text.lines().count(), 3 + 3 + 2, "{text}");
        let mut new = server("chat.lan");
        assert_eq!(import(&mut new, &text, None), [""; 0]);
        assert_eq!(exported(&new), text);
        assert!(new.tables.accounts.has_password("罗密欧".into(), "<pass> '罗密欧'\"&"));
        let again = import(&mut new, &text, None);
        assert!(again.len() == 3 && again[0] == "juliet: the name is taken", "{again:?}");
    }

    #[test]
    fn accounts_move_to_another_domain_with_their_contacts() {
        let mut old = server("old.lan");
        old.add_account("a", "secret").unwrap();
        old.add_account("b", "secret").unwrap();
        old.subscribe("a", "b").unwrap();
        let text = exported(&old);
        let mut new = server("new.lan");
        let other = "it is at another domain";
        assert_eq!(import(&mut new, &text, None), [format!("a: {other}"), format!("b: {other}")]);
        assert_eq!(import(&mut new, &text, Some("Old.LAN")), [""; 0]);
        assert_eq!(exported(&new), text.replace("old.lan", "new.lan"));
    }

    #[test]
    fn what_others_have_exported() {
        const KEYS: &str = "<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'>\
            <salt>QSXCR+Q6sek8bf92</salt><iter-count>N</iter-count>\
            <stored-key>6dlGYMOdZcOPutkcNY8U2g7vK9Y=</stored-key><server-key>D+CSWLOshSulAsxiupA+qs2/fTE=</server-key>\
            </scram-credentials>";
        let keys = |n: &str| KEYS.replace(">N<", &format!(">{n}<"));
        let text = format!(
            "<?xml version='1.0' encoding='UTF-8'?><server-data xmlns='urn:xmpp:pie:0'><host jid='LocalHost'>\
             <user name='Plain' password='secret'><query xmlns='jabber:iq:roster'>\
             <item jid='x@elsewhere' subscription='both' name='X'><group>g</group></item></query></user>\
             <user name='keys'>{}</user><user name='none'/><user name='slow'>{}</user>\
             <user name='fast'>{}</user><user name='a b' password='p'/><user name='gone' removed='true'/>\
             <user name='sha256'>{}</user></host></server-data>",
            keys("4096"),
            keys("4294967295"),
            keys("0"),
            keys("4096").replace("SCRAM-SHA-1'", "SCRAM-SHA-256'"),
        );
        let mut server = server("localhost");
        let no_password = ImportError::NoPassword.to_string();
        let refused = import(&mut server, &text, None);
        let wanted = [
            format!("none: {no_password}"),
            format!("slow: {no_password}"),
            format!("fast: {no_password}"),
            "a b: not a user name".into(),
            format!("gone: {}", ImportError::NoAccount),
            format!("sha256: {no_password}"),
        ];
        assert_eq!(refused, wanted);
        let accounts = &server.tables.accounts;
        assert!(
            accounts.has_password("plain".into(), "secret") && accounts.keys("plain".into()).fit("secret")
        );
        assert!(accounts
            .contact("plain".into(), "x@elsewhere")
            .is_some_and(|contact| contact.groups == ["g"]));
        // RFC 5802 section 5.
        assert!(accounts.keys("keys".into()).fit("pencil"));
    }

    #[test]
    fn an_account_that_is_ended_takes_its_streams_along() {
        let mut server = server("localhost");
        let now = Now::default();
        server.add_account("a", "secret").unwrap();
        let id = server.open(crate::Opening::client(crate::Peer::default()), now).unwrap();
        let login = "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'>\
            <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>a</username><password>secret</password>\
            <resource>r</resource></query></iq>";
        server.receive(id, login.as_bytes(), now);
        let status = server.status();
        assert_eq!((status.accounts, status.streams, status.sessions), (1, 1, 1));
        assert_eq!(server.remove_account("b", now), Err(AccountError::Unknown));
        assert_eq!(server.set_password("b", "x"), Err(AccountError::Unknown));
        server.set_password("A", "other").unwrap();
        assert!(server.tables.accounts.has_password("a".into(), "other"));
        server.remove_account("A", now).unwrap();
        let flush = server.flush(now).unwrap();
        let outgoing = flush.outgoing(id);
        assert_eq!(outgoing.then, crate::Then::CloseWhenSent);
        assert!(String::from_utf8_lossy(outgoing.bytes).contains("not-authorized"));
        drop(flush);
        assert_eq!((server.status().sessions, server.account_names().len()), (0, 0));
    }

    #[test]
    fn settings_change_at_run_time() {
        let mut server = server("localhost");
        let mut config = Config::new("localhost").unwrap();
        (config.registration, config.legacy_auth, config.limits.connections) = (true, false, 1);
        config.limits.outbox_bytes = 1;
        assert!(server.reconfigure(config));
        assert!(server.config().registration && server.config().limits.outbox_bytes > 1);
        server.add_account("a", "secret").unwrap();
        assert!(!server.tables.accounts.has_digest("a".into(), "id", &crate::legacy_digest("id", "secret")));
        assert!(server.open(crate::Opening::client(crate::Peer::default()), Now::default()).is_some());
        assert!(server.open(crate::Opening::client(crate::Peer::default()), Now::default()).is_none());
        assert!(!server.reconfigure(Config::new("other").unwrap()));
    }
}
