//! Two who see each other, do nothing wrong, and must not notice anything.

use crate::crowd::{Crowd, Deed};
use crate::strict::{self, Seen};

pub const NAMES: [&str; 2] = ["bystander-one", "bystander-two"];

/// No mutation guesses it.
const PASSWORD: &str = "correct horse battery staple";

/// They log in.
pub fn arrive(crowd: &mut Crowd) -> Result<(), String> {
    for name in NAMES {
        crowd.server.add_account(name, PASSWORD).map_err(|error| error.to_string())?;
    }
    for (me, other) in [(0, 1), (1, 0)] {
        crowd.server.subscribe(NAMES[me], NAMES[other]).map_err(|error| error.to_string())?;
    }
    for name in NAMES {
        let login = format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
             <iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{name}</username>\
             <password>{PASSWORD}</password><resource>bench</resource></query></iq><presence/>"
        );
        say(crowd, name, &login);
    }
    Ok(())
}

/// White space, so that nobody takes them for dead (RFC 6120 4.6.1).
pub fn breathe(crowd: &mut Crowd) {
    NAMES.iter().for_each(|name| say(crowd, name, " "));
}

/// Each says something to the bare and to the full address of the other; each has heard exactly that, and that only
/// once, since it came.
pub fn chat(crowd: &mut Crowd, round: usize) -> Result<(), String> {
    let domain = crowd.server.config().domain().to_owned();
    for (me, other) in [(0, 1), (1, 0)] {
        let other = format!("{}@{domain}", NAMES[other]);
        let message = format!(
            "<message to='{other}' type='chat'><body>{round} bare</body></message>\
             <message to='{other}/bench' type='chat'><body>{round} full</body></message>"
        );
        say(crowd, NAMES[me], &message);
    }
    for (me, other) in [(0, 1), (1, 0)] {
        check(crowd, NAMES[me], &format!("{}@{domain}", NAMES[other]), round)?;
    }
    Ok(())
}

fn say(crowd: &mut Crowd, name: &str, text: &str) {
    crowd.act(&Deed::Send(name.into(), text.into()), &mut |len| len);
}

fn check(crowd: &Crowd, me: &str, other: &str, rounds: usize) -> Result<(), String> {
    let heard = strict::read(&crowd.client(me).ok_or("it never came")?.received)?;
    let is_stanza = |seen: &&Seen| seen.name == "message" || seen.name == "presence";
    if let Some(anonymous) = heard.iter().filter(is_stanza).find(|seen| seen.from.is_none()) {
        return Err(format!("{me} heard {anonymous:?}, from nobody"));
    }
    let by_other = |name: &'static str| {
        let heard = heard.iter().filter(move |seen| seen.name == name);
        heard.filter(|seen| seen.from.as_ref().is_some_and(|from| from.starts_with(other)))
    };
    let said: Vec<&str> = by_other("message").filter_map(|seen| seen.body.as_deref()).collect();
    let wanted: Vec<String> = (1..=rounds).flat_map(|n| [format!("{n} bare"), format!("{n} full")]).collect();
    if said != wanted {
        return Err(format!("{me} heard {said:?} from {other}, not {wanted:?}"));
    }
    match by_other("presence").count() {
        1 => Ok(()),
        n => Err(format!("{me} was told {n} times that {other} is there")),
    }
}
