//! Those who read as fast as they can and are sent much at once: nobody may cut them off, and all of it must come.

use std::time::{Duration, Instant};

use crate::memory::long_request;
use crate::stage::{Stage, PATIENCE};
use crate::wire::{
    message, roster_get, roster_set, subscription, user, vcard_get, vcard_set, DOMAIN, ENABLE,
};
use crate::Result;

/// One comes online who has 30 contacts with ten resources and long statuses each.
pub(crate) fn many_resources(stage: &mut Stage<'_>) -> Result<()> {
    const CONTACTS: usize = 30;
    const RESOURCES: usize = 10;
    let status = format!("<presence><status>{}</status></presence>", "s".repeat(4_000));
    stage.visit(1..1 + CONTACTS, &subscription("subscribed", "u0"))?;
    let requests: String = (1..1 + CONTACTS).map(|number| subscription("subscribe", &user(number))).collect();
    stage.visit(0..1, &requests)?;
    for contact in 1..1 + CONTACTS {
        stage.log_in_often(&user(contact), RESOURCES, &status)?;
    }
    stage.start()?;
    let reader = stage.log_in("u0", "x", "")?;
    stage.net.watch(reader);
    stage.net.count(reader, "<status>");
    stage.net.say(reader, "<presence/>");
    stage.expect(reader, CONTACTS * RESOURCES, "presences came")
}

/// One asks for 120 vCards with a photo at once.
pub(crate) fn vcards(stage: &mut Stage<'_>) -> Result<()> {
    const CARDS: usize = 120;
    stage.visit(1..1 + CARDS, &vcard_set(40_000))?;
    let reader = stage.log_in("u0", "x", "")?;
    stage.net.watch(reader);
    stage.net.count(reader, "id='card'");
    let all: String = (1..1 + CARDS).map(|number| vcard_get(&user(number))).collect();
    stage.start()?;
    stage.net.say(reader, &all);
    stage.expect(reader, CARDS, "vCards came")
}

/// One comes online for whom a thousand requests and a hundred messages wait.
pub(crate) fn much_waits(stage: &mut Stage<'_>) -> Result<()> {
    stage.visit(1..1_001, &long_request("u0"))?;
    stage.visit(1..2, &message(&format!("u0@{DOMAIN}"), 2_400).repeat(100))?;
    stage.start()?;
    let reader = stage.log_in("u0", "x", "")?;
    stage.net.watch(reader);
    stage.net.count(reader, "</body>");
    stage.net.say(reader, "<presence/>");
    stage.expect(reader, 100, "messages came")
}

/// 200 senders send 6,000 bytes each to one reader at the same time, ten times.
pub(crate) fn many_senders(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(1..201, "")?;
    let reader = stage.log_in("u0", "x", "<presence/>")?;
    stage.net.watch(reader);
    stage.net.count(reader, "</body>");
    let text = message(&format!("u0@{DOMAIN}/x"), 6_000);
    stage.start()?;
    for _ in 0..10 {
        online.iter().for_each(|who| stage.net.say(*who, &text));
        stage.go_on(Duration::from_millis(50))?;
    }
    stage.expect(reader, 10 * online.len(), "messages came")
}

/// A managed stream whose answers take 100 ms gets 600 messages of 5,000 bytes at once.
pub(crate) fn managed_burst(stage: &mut Stage<'_>) -> Result<()> {
    const MESSAGES: usize = 600;
    let reader = stage.log_in("u0", "x", ENABLE)?;
    stage.net.watch(reader);
    stage.net.count(reader, "</message>");
    let sender = stage.log_in("u1", "x", "")?;
    // What came before the first message is acknowledged, too: the answer to the ping of the login.
    let before = 1;
    stage.start()?;
    stage.net.say(sender, &message(&format!("u0@{DOMAIN}/x"), 5_000).repeat(MESSAGES));
    let start = Instant::now();
    while start.elapsed() < PATIENCE && stage.net.found(reader) < MESSAGES && !stage.net.is_over(reader) {
        let came = stage.net.found(reader) + before;
        stage.go_on(Duration::from_millis(100))?;
        stage.net.say(reader, &format!("<a xmlns='urn:xmpp:sm:3' h='{came}'/>"));
    }
    stage.expect(reader, MESSAGES, "messages came")
}

/// A phone that sleeps dies with 9,000 messages that it did not acknowledge, and their sender hears of it.
pub(crate) fn sleeping_phone(stage: &mut Stage<'_>) -> Result<()> {
    const MESSAGES: usize = 9_000;
    let phone = stage.log_in("u0", "x", ENABLE)?;
    stage.net.deafen(phone);
    let sender = stage.log_in("u1", "x", "")?;
    stage.net.watch(sender);
    stage.start()?;
    stage.net.say(sender, &message(&format!("u0@{DOMAIN}/x"), 10).repeat(MESSAGES));
    stage.settle(sender)?;
    stage.net.count(sender, "type='error'");
    stage.net.drop_client(phone);
    stage.expect(sender, MESSAGES - 100, "errors came")
}

/// 50 send to one who never reads; they themselves do.
pub(crate) fn never_reads(stage: &mut Stage<'_>) -> Result<()> {
    let deaf = stage.log_in("u0", "x", "<presence/>")?;
    stage.net.deafen(deaf);
    let online = stage.log_in_users(1..51, "")?;
    stage.start()?;
    stage.flood(&online, &message(&format!("u0@{DOMAIN}/x"), 1_000))
}

/// 50 send to one who reads and never acknowledges what came.
pub(crate) fn silent_reader(stage: &mut Stage<'_>) -> Result<()> {
    stage.log_in("u0", "x", &format!("{ENABLE}<presence/>"))?;
    let online = stage.log_in_users(1..51, "")?;
    stage.start()?;
    stage.flood(&online, &message(&format!("u0@{DOMAIN}/x"), 1_000))
}

/// The largest roster that may be made: is it answered?
pub(crate) fn large_roster(stage: &mut Stage<'_>) -> Result<()> {
    let name = "n".repeat(254);
    let contacts: String =
        (0..1_000).map(|number| roster_set(&format!("c{number}@{DOMAIN}"), &name)).collect();
    let maker = stage.log_in("u0", "x", "")?;
    stage.net.say(maker, &contacts);
    stage.settle(maker)?;
    let reader = stage.log_in("u0", "y", "")?;
    stage.net.watch(reader);
    stage.start()?;
    stage.net.count(reader, "id='g'");
    stage.net.say(reader, &roster_get());
    stage.expect(reader, 1, "answers came")
}
