//! Accounts and their changes in the portable format of XEP-0227.
//!
//! A snapshot has whole `<user/>` elements. A line of the journal has one with just what changed in it; what is gone
//! says so in an attribute of ours (`removed`, and in a roster RFC 6121's own `subscription='remove'`). So one piece of
//! code reads both, and what other servers have exported. What each part of an account looks like stands in the file of
//! its table. Left out on purpose: what the format can say and the server does not have. It is skipped.

use super::{blocklist, credential, last_seen, offline, private, roster, vcard};
use super::{Account, AccountChange, Change, Collection};
use crate::xml::{Element, Text};

pub(crate) const NS: &str = "urn:xmpp:pie:0";
pub(crate) const SCRAM: &str = "urn:xmpp:pie:0#scram";

/// A part of what is kept for an account.
pub(super) struct Part {
    /// Adds what there is of it to the account's `<user/>`.
    pub(super) write: fn(&Account, Element) -> Element,
    /// The changes that a `<user/>` says of it: all of it, or just what changed.
    pub(super) read: fn(&Element) -> Vec<AccountChange>,
}

/// All parts, the credential first: it makes the account.
const PARTS: &[Part] = &[
    credential::PART,
    roster::PART,
    offline::PART,
    vcard::PART,
    private::PART,
    blocklist::PART,
    last_seen::PART,
];

pub(super) const COLLECTION: Collection = Collection {
    element: "user",
    names: |kept| kept.accounts.names(),
    write: |kept, name| Some(account_to_element(name, kept.accounts.named(name)?)),
    read: |element, take| {
        let Some(ReadAccount { name, changes, .. }) = read_account(element) else { return false };
        changes.into_iter().for_each(|change| take(Change::Account(&name, change)));
        true
    },
};

/// All that is kept for an account.
pub(crate) fn account_to_element(name: &str, account: &Account) -> Element {
    PARTS.iter().fold(user(name), |user, part| (part.write)(account, user))
}

/// A change of one account, as a line of the journal says it.
pub(crate) fn change_to_element(name: &str, change: &AccountChange) -> Element {
    let user = user(name);
    match change {
        AccountChange::Credential(credential) => credential::write(credential, user),
        AccountChange::Removed => user.with_attr("removed", "true"),
        AccountChange::Contact(address, contact) => roster::write_contact(address, contact.as_ref(), user),
        AccountChange::Subscription(address, state) => user.with(roster::state_to_element(address, state)),
        AccountChange::Offline(message) => user.with(offline::to_element(None, &[], [message])),
        AccountChange::OfflineSent(number) => user.with(offline::to_element(Some(*number), &[], [])),
        AccountChange::OfflineRemoved(numbers) => user.with(offline::to_element(None, numbers, [])),
        AccountChange::Blocked(address, blocked) => {
            let name = if *blocked { "block" } else { "unblock" };
            user.with(blocklist::blocklist_element(name, [address]))
        }
        AccountChange::VCard(vcard) => user.with(vcard::to_element(vcard.as_ref())),
        AccountChange::LastSeen(seen) => user.with(last_seen::to_element(seen)),
        AccountChange::Private(element) => user.with(private::to_element([element.clone()])),
    }
}

fn user(name: &str) -> Element {
    Element::new("user", NS).with_attr("name", name.to_owned())
}

/// What a `<user/>` element says.
#[derive(Debug)]
pub(crate) struct ReadAccount {
    pub(crate) name: Text,
    /// A password whose keys are not said; somebody has to derive them.
    pub(crate) password_only: Option<Text>,
    pub(crate) changes: Vec<AccountChange>,
}

/// Reads a `<user/>` element, whole or just what changed. `None` if it is none.
pub(crate) fn read_account(element: &Element) -> Option<ReadAccount> {
    let name = element.attr("name").filter(|_| element.is("user", NS))?.to_owned().into();
    if element.attr("removed") == Some("true") {
        return Some(ReadAccount { name, password_only: None, changes: vec![AccountChange::Removed] });
    }
    let changes: Vec<AccountChange> = PARTS.iter().flat_map(|part| (part.read)(element)).collect();
    let has_keys = matches!(changes.first(), Some(AccountChange::Credential(_)));
    let password_only = credential::read_password(element).filter(|_| !has_keys);
    Some(ReadAccount {
        name,
        password_only: password_only.map(|password| password.to_owned().into()),
        changes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::scram::Keys;
    use crate::tables::{
        Contact, Credential, LastSeen, OfflineMessage, StoredXml, Subscription, SubscriptionState,
    };
    use crate::xml::{ns, Reader, XmlLimits};
    use crate::xmpp::jid::Jid;

    const VCARD: &str = "vcard-temp";

    fn again(change: &AccountChange) -> String {
        let element = change_to_element("用户", change);
        let user = read_account(&element).unwrap();
        assert_eq!((user.name.as_ref(), user.changes.len()), ("用户", 1));
        assert_eq!(change_to_element("用户", &user.changes[0]), element);
        element.to_string()
    }

    #[test]
    fn every_change_reads_back() {
        let keys = Keys::derive("secret", b"salt", 2);
        let with = |password: Option<&str>| {
            AccountChange::Credential(Credential { keys: keys.clone(), password: password.map(Into::into) })
        };
        assert!(again(&with(Some("pass'word"))).contains("password='pass&apos;word'"));
        assert!(!again(&with(None)).contains("password"));
        again(&AccountChange::Removed);
        let address: Jid = "a@b".parse().unwrap();
        again(&AccountChange::Contact(address.clone(), None));
        let request = Element::new("presence", ns::CLIENT)
            .with_attr("type", "subscribe")
            .with_attr("from", "a@b")
            .with(Element::new("status", ns::CLIENT).with_text("你好"));
        let contact = Contact {
            listed: true,
            name: Some("朱丽叶".into()),
            groups: vec!["友".into(), "家".into()],
            subscription: Subscription::NonePendingOutIn,
            approved: true,
            request: Some(Box::new(request)),
        };
        let text = again(&AccountChange::Contact(address.clone(), Some(contact.clone())));
        assert!(text.contains("ask='subscribe'") && text.contains("approved='true'"), "{text}");
        for listed in [true, false] {
            let request = contact.request.clone().filter(|_| listed);
            let subscription =
                if listed { Subscription::ToPendingIn } else { Subscription::NonePendingOutIn };
            let state = SubscriptionState { listed, subscription, approved: listed, request };
            again(&AccountChange::Subscription(address.clone(), state));
        }
        let not_listed =
            Contact { listed: false, approved: false, subscription: Subscription::NonePendingIn, ..contact };
        assert!(!again(&AccountChange::Contact(address, Some(not_listed))).contains("item"));
        let bytes = "<message to='a@b'><body>你好\n</body><x xmlns='urn:x'/></message>".as_bytes().into();
        again(&AccountChange::Offline(OfflineMessage { number: 7, bytes }));
        again(&AccountChange::OfflineSent(7));
        again(&AccountChange::OfflineRemoved([7, 9].into()));
    }

    #[test]
    fn messages_of_another_server_get_the_first_numbers() {
        let text = "<user xmlns='urn:xmpp:pie:0' name='a'><offline-messages><message xmlns='jabber:client'/>\
                    <message xmlns='jabber:client'><body/></message></offline-messages></user>";
        let element = Reader::read_one(text, "", XmlLimits::NONE).unwrap();
        let changes = read_account(&element).unwrap().changes;
        assert_eq!(
            format!("{changes:?}"),
            "[Offline((message 1 of 10 bytes)), Offline((message 2 of 26 bytes))]"
        );
    }

    #[test]
    fn kept_things_read_back() {
        let vcard = Element::new("vCard", VCARD).with(Element::new("FN", VCARD).with_text("用户"));
        again(&AccountChange::VCard(StoredXml::of(&vcard)));
        again(&AccountChange::VCard(None));
        again(&AccountChange::Blocked("a@b/c".parse().unwrap(), true));
        again(&AccountChange::Blocked("a@b/c".parse().unwrap(), false));
        again(&AccountChange::LastSeen(LastSeen { at: 1, status: None }));
        again(&AccountChange::LastSeen(LastSeen { at: u64::MAX, status: Some("再见".into()) }));
        again(&AccountChange::Private(Element::new("storage", "storage:notes")));
        again(&AccountChange::Private(Element::new("storage", "storage:notes").with_text("!")));
    }

    #[test]
    fn a_whole_account_reads_back() {
        use crate::tables::{Accounts, PasswordRules};
        let rules = PasswordRules { iterations: 1, keeps_passwords: true };
        let text = |name: &'static str, ns: &'static str| Element::new(name, ns).with_text("文");
        let changes = [
            AccountChange::Credential(Credential::new("secret", b"salt", rules).unwrap()),
            AccountChange::Contact(
                "a@b".parse().unwrap(),
                Some(Contact { listed: true, ..Contact::default() }),
            ),
            AccountChange::VCard(StoredXml::of(&text("vCard", VCARD))),
            AccountChange::Private(text("a", "urn:a")),
            AccountChange::Private(text("b", "urn:a")),
            AccountChange::Blocked("b@c".parse().unwrap(), true),
            AccountChange::LastSeen(LastSeen { at: 7, status: Some("再见".into()) }),
        ];
        let account = |changes: Vec<AccountChange>| {
            let mut accounts = Accounts::new(rules, b"");
            changes.into_iter().for_each(|change| accounts.apply("用户", change));
            account_to_element("用户", accounts.named("用户").unwrap())
        };
        let element = account(changes.into());
        assert_eq!(element.children().count(), 6, "{element}");
        assert_eq!(account(read_account(&element).unwrap().changes), element);
    }
}
