//! Attacks on time: little that is sent and much that is to be done.

use std::time::{Duration, Instant};

use crate::net::Net;
use crate::stage::{Stage, ATTACK, PATIENCE};
use crate::wire::{
    header, login, message, plain, register, roster_get, roster_set, scram_first, subscription, user, DOMAIN,
    ENABLE, PASSWORD,
};
use crate::Result;

/// The longest name that a contact or a group may have, but for the number behind it.
const NAME_BYTES: usize = 254;

/// Nobody does anything: what the machine itself adds to all that follows.
pub(crate) fn quiet(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    stage.go_on(ATTACK)
}

/// A roster as large as it may be, asked for without end.
pub(crate) fn roster_gets(stage: &mut Stage<'_>) -> Result<()> {
    let name = "n".repeat(NAME_BYTES);
    let contacts: String =
        (0..1_000).map(|number| roster_set(&format!("c{number}@{DOMAIN}"), &name)).collect();
    let who = stage.log_in("u0", "x", "")?;
    stage.net.say(who, &contacts);
    stage.settle(who)?;
    stage.start()?;
    stage.flood(&[who], &roster_get())
}

/// A blocklist as large as it may be, asked for without end.
pub(crate) fn blocklist_gets(stage: &mut Stage<'_>) -> Result<()> {
    let items: String = (0..1_000).map(|number| format!("<item jid='blocked{number}@{DOMAIN}'/>")).collect();
    let block = format!("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>{items}</block></iq>");
    let who = stage.log_in("u0", "x", &block)?;
    stage.start()?;
    stage.flood(&[who], "<iq type='get' id='b'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
}

/// 16 connections make one account after the other.
pub(crate) fn registrations(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    for stream in 0..16 {
        let who = stage.connect()?;
        let all: String = (0..2_000).map(|number| register(&format!("new{stream}-{number}"))).collect();
        stage.net.say(who, &format!("{}{all}", header()));
    }
    stage.go_on(ATTACK)
}

/// 16 connections ask for names that are taken.
pub(crate) fn taken_names(stage: &mut Stage<'_>) -> Result<()> {
    const NAMES: usize = 500;
    stage.start()?;
    let who = stage.connect()?;
    stage.net.count(who, "<conflict");
    let all: String = (0..NAMES).map(|number| register(&user(number))).collect();
    stage.net.say(who, &format!("{}{all}", header()));
    stage.expect(who, NAMES, "names said to be taken")
}

/// 16 connections change their passwords again and again.
pub(crate) fn passwords(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(0..16, "")?;
    stage.start()?;
    for (number, who) in online.iter().enumerate() {
        stage.repeat(*who, &register(&user(number)));
    }
    stage.go_on(ATTACK)
}

/// 400 connections with five wrong passwords each.
pub(crate) fn wrong_passwords(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    for number in 0..400 {
        let who = stage.connect()?;
        stage.net.say(who, &format!("{}{}", header(), plain(&user(number % 100), "wrong").repeat(5)));
    }
    stage.go_on(ATTACK)
}

/// 16 connections begin a login by SCRAM again and again and never end it, for names that nobody has.
pub(crate) fn scram_beginnings(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    for number in 0..16 {
        let who = stage.connect()?;
        stage.net.say(who, &header());
        stage.repeat(who, &scram_first(&format!("nobody{number}")));
    }
    stage.go_on(ATTACK)
}

/// 500 sessions of one account, each of which says without end that it is available.
pub(crate) fn broadcast(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    let online = stage.log_in_often("u0", 500, "<presence/>")?;
    stage.flood(&online, "<presence/>")
}

/// 400 managed streams with a megabyte that they did not acknowledge are lost at once.
pub(crate) fn lost_streams(stage: &mut Stage<'_>) -> Result<()> {
    const LOST: usize = 400;
    const EACH: usize = 190;
    let lost = stage.log_in_users(100..100 + LOST, &format!("{ENABLE}<presence/>"))?;
    let senders = stage.log_in_users(0..20, "")?;
    stage.start()?;
    for who in &lost {
        stage.net.count(*who, "<message");
    }
    for number in 0..LOST {
        let to = format!("{}@{DOMAIN}/x", user(100 + number));
        let text = message(&to, 5_000);
        let from = senders.get(number % senders.len()).copied().unwrap_or_default();
        stage.net.say_often(from, &text.as_bytes().into(), EACH as u64);
    }
    let sum = |net: &Net| lost.iter().map(|who| net.found(*who)).sum::<usize>();
    stage.until(PATIENCE, |net| sum(net) == LOST * EACH)?;
    let arrived = sum(&stage.net);
    stage.note(format!("{arrived} of {} messages before", LOST * EACH));
    lost.iter().for_each(|who| stage.net.drop_client(*who));
    stage.go_on(Duration::from_secs(1))
}

/// One who has 200 contacts online comes and goes without end.
pub(crate) fn flapping(stage: &mut Stage<'_>) -> Result<()> {
    let friends: String = (1..201).map(|number| subscription("subscribed", &user(number))).collect();
    let who = stage.log_in("u0", "x", &friends)?;
    stage.log_in_users(1..201, &format!("{}<presence/>", subscription("subscribe", "u0")))?;
    stage.start()?;
    stage.flood(&[who], "<presence/><presence type='unavailable'/>")
}

/// The same contact seen by 200 who say that nobody looks (XEP-0352).
pub(crate) fn inactive(stage: &mut Stage<'_>) -> Result<()> {
    let friends: String = (1..201).map(|number| subscription("subscribed", &user(number))).collect();
    let who = stage.log_in("u0", "x", &friends)?;
    let sleeps = format!("{}<presence/><inactive xmlns='urn:xmpp:csi:0'/>", subscription("subscribe", "u0"));
    stage.log_in_users(1..201, &sleeps)?;
    stage.start()?;
    stage.flood(&[who], &format!("<presence><status>{}</status></presence><presence/>", "s".repeat(2_000)))
}

/// Presence to a hundred addresses one by one, and again that one is gone.
pub(crate) fn directed(stage: &mut Stage<'_>) -> Result<()> {
    let who = stage.log_in("u0", "x", "<presence/>")?;
    stage.log_in_users(1..101, "<presence/>")?;
    let to = |number| format!("{}@{DOMAIN}", user(number));
    let all: String = (1..101).map(|number| format!("<presence to='{}'/>", to(number))).collect();
    stage.start()?;
    stage.flood(&[who], &format!("{all}<presence type='unavailable'/><presence/>"))
}

/// 16 who take one resource from each other, again and again.
pub(crate) fn takeovers(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    let start = Instant::now();
    while start.elapsed() < ATTACK {
        for _ in 0..16 {
            let who = stage.connect()?;
            stage.net.say(who, &format!("{}<presence/>", login("u0", "x")));
        }
        stage.go_on(Duration::from_millis(10))?;
    }
    Ok(())
}

/// 16 who have proved an account and guess which session they might resume.
pub(crate) fn resume_guesses(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    for number in 0..16 {
        let who = stage.connect()?;
        let name = user(number);
        let proof = plain(&name, PASSWORD);
        stage.net.say(who, &format!("{0}{proof}{0}", header()));
        stage.repeat(who, "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>");
    }
    stage.go_on(ATTACK)
}

/// Copies of a long message to all of one's own sessions, as many as one may have, without end.
pub(crate) fn carbons(stage: &mut Stage<'_>) -> Result<()> {
    let enable = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence/>";
    let online = stage.log_in_often("u0", 16, enable)?;
    stage.start()?;
    let first = online.get(..1).unwrap_or_default();
    stage.flood(first, &message(&format!("u1@{DOMAIN}"), 100_000))
}

/// Two hundred connections send a byte at a time.
pub(crate) fn single_bytes(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(0..200, "")?;
    stage.start()?;
    let start = Instant::now();
    while start.elapsed() < ATTACK {
        online.iter().for_each(|who| stage.net.say(*who, " "));
        stage.go_on(Duration::from_millis(1))?;
    }
    Ok(())
}

/// White space between stanzas, without end.
pub(crate) fn white_space(stage: &mut Stage<'_>) -> Result<()> {
    let who = stage.log_in("u0", "x", "")?;
    stage.start()?;
    stage.flood(&[who], " ")
}

/// Text that must be escaped again, byte for byte, to oneself.
pub(crate) fn entities(stage: &mut Stage<'_>) -> Result<()> {
    let who = stage.log_in("u0", "x", "")?;
    let text = message(&format!("u0@{DOMAIN}/x"), 0)
        .replace("</body>", &format!("{}</body>", "&lt;".repeat(50_000)));
    stage.start()?;
    stage.flood(&[who], &text)
}

/// Ten who ask without end for what nobody knows.
pub(crate) fn unknown_requests(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(0..10, "")?;
    stage.start()?;
    stage.flood(&online, "<iq type='get' id='q'><query xmlns='nothing'/></iq>")
}

/// One who says little and gets all the contacts' presence for it, again and again.
pub(crate) fn probes(stage: &mut Stage<'_>) -> Result<()> {
    let status = format!("<presence><status>{}</status></presence>", "s".repeat(2_000));
    let allow = subscription("subscribed", "u0");
    stage.log_in_users(1..201, &format!("{allow}{status}"))?;
    let requests: String = (1..201).map(|number| subscription("subscribe", &user(number))).collect();
    let who = stage.log_in("u0", "x", &requests)?;
    stage.start()?;
    stage.flood(&[who], "<presence type='unavailable'/><presence/>")
}
