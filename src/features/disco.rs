//! What the server and its accounts are and can do.
//!
//! Read first: XEP-0030 sections 3 (info), 4 (items) and 8 (who is told what of an account). What is said of the host
//! is put together from [`FEATURES`], so that what is not built in is not advertised. A resource answers for itself:
//! what is for a full address never gets here. Left out on purpose: items of accounts other than their available
//! resources; there are none.

use super::{Answer, Feature, Node, Route, Target, FEATURES};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::tables::User;
use crate::xml::Element;
use crate::xmpp::error::Condition;
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{IqType, Stanza};

const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0030: Service Discovery",
    disco: &[INFO, ITEMS],
    account_disco: &[INFO, ITEMS],
    iq: &[
        Route { name: "query", ns: INFO, at: Target::Host, kind: IqType::Get, handler: host_info },
        Route { name: "query", ns: INFO, at: Target::Account, kind: IqType::Get, handler: own_info },
        Route { name: "query", ns: INFO, at: Target::Other, kind: IqType::Get, handler: others_info },
        Route { name: "query", ns: ITEMS, at: Target::Host, kind: IqType::Get, handler: host_items },
        Route { name: "query", ns: ITEMS, at: Target::Account, kind: IqType::Get, handler: own_items },
        Route { name: "query", ns: ITEMS, at: Target::Other, kind: IqType::Get, handler: others_items },
    ],
    ..Feature::NOTHING
};

fn host_info(ctx: &mut Ctx<'_>, sender: &Sender<'_>, get: &Stanza) -> Answer {
    Ok(Some(match node(ctx, sender, get)? {
        None => host(),
        Some((name, node)) => {
            let (category, kind) = node.kind;
            let identity = identity(category, kind).with_attr("name", node.name);
            info(identity, node.features.iter()).with_attr("node", name.to_owned())
        }
    }))
}

fn host() -> Element {
    let identity = identity("server", "im").with_attr("name", "loquat");
    info(identity, FEATURES.iter().flat_map(|feature| feature.disco))
}

fn own_info(_: &mut Ctx<'_>, _: &Sender<'_>, get: &Stanza) -> Answer {
    check_node(get)?;
    let vars = FEATURES.iter().flat_map(|feature| feature.account_disco);
    Ok(Some(info(identity("account", "registered"), vars)))
}

/// XEP-0030 section 8: one who must not know gets the answer that a name gets which nobody has, whatever the node.
fn others_info(ctx: &mut Ctx<'_>, sender: &Sender<'_>, get: &Stanza) -> Answer {
    match seen_account(ctx, sender, get) {
        Some(_) => own_info(ctx, sender, get),
        None => Err(Condition::ServiceUnavailable.into()),
    }
}

/// What the host program answers for under names of its own.
fn host_items(ctx: &mut Ctx<'_>, sender: &Sender<'_>, get: &Stanza) -> Answer {
    let Some((name, node)) = node(ctx, sender, get)? else {
        return Ok(Some(items(ctx.tables.hosts.domains().map(str::to_owned))));
    };
    let item = |(node, name): (&'static str, &'static str)| {
        item(ctx.config.domain().to_owned()).with_attr("node", node).with_attr("name", name)
    };
    let query = Element::new("query", ITEMS).with_attr("node", name.to_owned());
    Ok(Some(node.items.into_iter().map(item).fold(query, Element::with)))
}

/// The node of the host that is asked about, if one is (XEP-0030 section 7).
fn node<'s>(
    ctx: &Ctx<'_>,
    sender: &Sender<'_>,
    get: &'s Stanza,
) -> Result<Option<(&'s str, Node)>, Condition> {
    let Some(name) = node_of(get) else { return Ok(None) };
    let node = FEATURES.iter().find_map(|feature| (feature.node)(ctx, sender.address(), name));
    Ok(Some((name, node.ok_or(Condition::ItemNotFound)??)))
}

fn node_of(get: &Stanza) -> Option<&str> {
    get.payload()?.attr("node").filter(|node| !node.is_empty())
}

fn own_items(ctx: &mut Ctx<'_>, sender: &Sender<'_>, get: &Stanza) -> Answer {
    check_node(get)?;
    Ok(Some(resources(ctx, sender.address())))
}

/// XEP-0030 section 8: to one who must not know, an account and a name that nobody has are equally empty.
fn others_items(ctx: &mut Ctx<'_>, sender: &Sender<'_>, get: &Stanza) -> Answer {
    let Some(account) = seen_account(ctx, sender, get) else { return Ok(Some(items([]))) };
    check_node(get)?;
    Ok(Some(resources(ctx, account)))
}

/// The account that is asked about, if whoever asks may see its presence.
fn seen_account<'s>(ctx: &Ctx<'_>, sender: &Sender<'_>, get: &'s Stanza) -> Option<&'s Jid> {
    let account = get.to.as_ref()?;
    let user = User::at(ctx.config, account)?;
    ctx.tables.accounts.is_seen_by(user, sender.address()).then_some(account)
}

/// XEP-0030 section 7: accounts have no nodes.
fn check_node(get: &Stanza) -> Result<(), Condition> {
    node_of(get).map_or(Ok(()), |_| Err(Condition::ItemNotFound))
}

/// XEP-0030 4.1: of an account, its available resources.
fn resources(ctx: &Ctx<'_>, account: &Jid) -> Element {
    let user = User::at(ctx.config, account).into_iter();
    let available = user.flat_map(|user| ctx.tables.sessions.available(user));
    items(available.map(|session| format!("{}/{}", account.bare_str(), session.resource)))
}

fn identity(category: &'static str, kind: &'static str) -> Element {
    Element::new("identity", INFO).with_attr("category", category).with_attr("type", kind)
}

fn info<'v>(identity: Element, vars: impl Iterator<Item = &'v &'static str>) -> Element {
    let query = Element::new("query", INFO).with(identity);
    vars.map(|var| Element::new("feature", INFO).with_attr("var", *var)).fold(query, Element::with)
}

fn items(addresses: impl IntoIterator<Item = String>) -> Element {
    addresses.into_iter().map(item).fold(Element::new("query", ITEMS), Element::with)
}

fn item(address: String) -> Element {
    Element::new("item", ITEMS).with_attr("jid", address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(feature: &Feature, ns: &str, at: Target) -> bool {
        feature.iq.iter().any(|route| route.ns == ns && route.at == at)
    }

    #[test]
    fn the_host_says_what_it_is() {
        let host = host();
        let identity = host.child("identity", INFO).unwrap();
        let said = ["category", "type", "name"].map(|name| identity.attr(name));
        assert_eq!(said, [Some("server"), Some("im"), Some("loquat")]);
        assert!(host.children().any(|child| child.attr("var") == Some(INFO)), "{host}");
    }

    #[test]
    fn what_is_advertised_is_answered() {
        // One that answers nothing does what it advertises unasked.
        for feature in FEATURES.iter().filter(|feature| !feature.iq.is_empty()) {
            for var in feature.disco {
                let answered = answers(feature, var, Target::Host) || answers(feature, var, Target::Account);
                assert!(answered, "{} advertises {var} and answers nobody", feature.spec);
            }
            for var in feature.account_disco {
                let answered = answers(feature, var, Target::Account) && answers(feature, var, Target::Other);
                assert!(answered, "{} advertises {var} for accounts, and not all are answered", feature.spec);
            }
        }
    }

    #[test]
    fn what_the_host_answers_is_advertised() {
        for feature in FEATURES {
            for route in feature.iq.iter().filter(|route| route.at == Target::Host) {
                // These are offered as stream features (RFC 6120 7.4, RFC 3921 section 3).
                let is_offered = [":xmpp-bind", ":xmpp-session"].iter().any(|end| route.ns.ends_with(end));
                assert!(
                    is_offered || feature.disco.contains(&route.ns),
                    "{} hides {}",
                    feature.spec,
                    route.ns
                );
            }
        }
    }

    #[test]
    fn nothing_is_advertised_twice() {
        for list in [|feature: &Feature| feature.disco, |feature: &Feature| feature.account_disco] {
            let mut vars: Vec<_> = FEATURES.iter().flat_map(list).collect();
            vars.sort_unstable();
            assert!(vars.windows(2).all(|pair| pair[0] != pair[1]), "{vars:?}");
        }
    }
}
