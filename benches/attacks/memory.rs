//! Attacks on memory: little that is sent and much that is kept.

use crate::stage::{Stage, PATIENCE};
use crate::wire::{
    attributes, header, message, subscription, user, vcard_get, vcard_set, DOMAIN, ENABLE_RESUME,
};
use crate::Result;

/// A namespace of 60,000 bytes, and 397 children with 63 attributes in it.
pub(crate) fn namespaces(stage: &mut Stage<'_>) -> Result<()> {
    let who = stage.log_in("u0", "x", "")?;
    let child = format!("<a{}/>", attributes("p:"));
    let bomb = format!("<message xmlns:p='{}'>{}</message>", "A".repeat(60_000), child.repeat(397));
    stage.start()?;
    stage.net.say(who, &bomb);
    stage.settle(who).map(drop)
}

/// The same before login, with what fits there, on many connections that never come to an end.
pub(crate) fn early_namespaces(stage: &mut Stage<'_>) -> Result<()> {
    let child = format!("<a{}/>", attributes("p:"));
    let bomb =
        format!("{}<iq type='set' id='1' xmlns:p='{}'>{}", header(), "A".repeat(4_900), child.repeat(9));
    stage.start()?;
    for _ in 0..200 {
        let who = stage.connect()?;
        stage.net.say(who, &bomb);
    }
    stage.go_on(PATIENCE / 3)
}

/// 255,000 bytes of attributes in a stanza that never comes to an end, on 20 streams.
pub(crate) fn attributes_unfinished(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(0..20, "")?;
    let child = format!("<a{}/>", attributes(""));
    let bomb = format!("<message>{}", child.repeat(255_000 / child.len()));
    stage.start()?;
    online.iter().for_each(|who| stage.net.say(*who, &bomb));
    stage.go_on(PATIENCE / 3)
}

/// As many children as a stanza may have, each of the shortest, in a stanza that never comes to an end, on 20 streams.
pub(crate) fn children_unfinished(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(0..20, "")?;
    let bomb = format!("<message>{}", "<a/>b".repeat(2_040));
    stage.start()?;
    online.iter().for_each(|who| stage.net.say(*who, &bomb));
    stage.go_on(PATIENCE / 3)
}

/// A presence of 2,040 children in a namespace of 100,000 bytes, which is kept; and then asked for.
pub(crate) fn presence(stage: &mut Stage<'_>) -> Result<()> {
    let bomb = format!("<presence xmlns:p='{}'>{}</presence>", "A".repeat(100_000), "<p:b/>".repeat(2_040));
    let (shows, asks) = (stage.log_in("u0", "shows", "")?, stage.log_in("u0", "asks", "")?);
    let probe = format!("<presence type='probe' to='u0@{DOMAIN}'/>");
    stage.start()?;
    stage.net.say(shows, &bomb);
    stage.settle(shows)?;
    stage.net.say(asks, &probe.repeat(20));
    stage.settle(asks).map(drop)
}

/// A thousand accounts ask one for its presence, with a kilobyte of small children each.
pub(crate) fn requests(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(1..1_001, "")?;
    stage.start()?;
    for who in &online {
        stage.net.say(*who, &long_request("u0"));
    }
    for who in &online {
        stage.settle(*who)?;
    }
    Ok(())
}

/// A request for presence with as many children as are kept.
pub(crate) fn long_request(to: &str) -> String {
    let request = subscription("subscribe", to).replace("/>", ">");
    format!("{request}{}</presence>", "<a/>".repeat((880 - request.len()) / 4))
}

/// 400 sessions of one account are lost and wait to be resumed, while each gets a megabyte.
pub(crate) fn detached(stage: &mut Stage<'_>) -> Result<()> {
    let sender = stage.log_in("u1", "x", "")?;
    stage.start()?;
    let online = stage.log_in_often("u0", 400, &format!("{ENABLE_RESUME}<presence/>"))?;
    online.iter().for_each(|who| stage.net.drop_client(*who));
    stage.go_on(PATIENCE / 20)?;
    let message = message(&format!("u0@{DOMAIN}"), 10_000);
    stage.net.say(sender, &message.repeat(95));
    stage.settle(sender).map(drop)
}

/// 600 accounts get as many messages as are kept for one who is away, and as long ones.
pub(crate) fn waiting_messages(stage: &mut Stage<'_>) -> Result<()> {
    let sender = stage.log_in("u0", "x", "")?;
    let all: String = (1..601).map(|number| message(&format!("{}@{DOMAIN}", user(number)), 2_400)).collect();
    stage.start()?;
    stage.net.say(sender, &all.repeat(20));
    stage.settle(sender).map(drop)
}

/// One who never reads asks for vCards, whose answers are long.
pub(crate) fn deaf_asker(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(0..50, &vcard_set(100_000))?;
    online.iter().for_each(|who| stage.net.deafen(*who));
    stage.start()?;
    stage.flood(&online, &vcard_get("u0"))
}
