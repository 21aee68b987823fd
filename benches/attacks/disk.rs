//! Attacks on the disk: little that is sent and much that is written.

use crate::stage::{Stage, ATTACK};
use crate::wire::{header, register, roster_set, subscription, user, DOMAIN};
use crate::Result;

/// Ten who have long names for each other ask for each other's presence and think better of it, without end.
pub(crate) fn subscriptions(stage: &mut Stage<'_>) -> Result<()> {
    // The longest name as it is written.
    let name = "&amp;".repeat(254);
    let mut online = Vec::new();
    for number in 0..10 {
        let contact = format!("{}@{DOMAIN}", user(number ^ 1));
        online.push(stage.log_in(&user(number), "x", &roster_set(&contact, &name))?);
    }
    stage.start()?;
    for (number, who) in online.iter().enumerate() {
        let contact = user(number ^ 1);
        let toggles = ["subscribe", "subscribed", "unsubscribe", "unsubscribed"]
            .map(|kind| subscription(kind, &contact));
        stage.repeat(*who, &toggles.concat());
    }
    stage.go_on(ATTACK)
}

/// Ten who put things into their private storage, and other things into the same place, without end.
pub(crate) fn private_storage(stage: &mut Stage<'_>) -> Result<()> {
    let online = stage.log_in_users(0..10, "")?;
    let set = |text: &str| {
        format!("<iq type='set' id='p'><query xmlns='jabber:iq:private'><a xmlns='b'>{text}</a></query></iq>")
    };
    stage.start()?;
    stage.flood(&online, &format!("{}{}", set("c"), set("d")))
}

/// Accounts that are made and ended again.
pub(crate) fn accounts(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    let who = stage.connect()?;
    let names: String = (0..20_000).map(|number| register(&format!("new{number}"))).collect();
    stage.net.say(who, &format!("{}{names}", header()));
    stage.go_on(ATTACK)
}
