//! One client's presence changes, and all others are told.
//!
//! Read first: RFC 6121 section 3 for the subscriptions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::login::Auth;
use crate::net::{attribute, Net};
use crate::work::{Tally, Work};
use crate::{Options, Result, PATIENCE};

/// Client 0 changes its presence, and all others are told.
pub(crate) struct Fan {
    first: String,
    first_account: String,
    domain_knows: bool,
    contacts: usize,
    subscribed: usize,
    accounts: Vec<String>,
    window: usize,
    /// The number of the presence that each contact must be told next.
    expected: Vec<u64>,
    sent: u64,
    /// When those were sent that not all have been told, and how many have.
    under_way: VecDeque<(Instant, usize)>,
    is_ending: bool,
    tally: Tally,
}

impl Fan {
    pub(crate) fn new(options: &Options) -> Self {
        let contacts = options.users.saturating_sub(1);
        Self {
            first: options.address(0),
            first_account: options.account(0),
            domain_knows: options.auth != Auth::None,
            contacts,
            subscribed: 0,
            accounts: (0..options.users).map(|who| options.account(who)).collect(),
            window: options.window,
            expected: vec![0; options.users],
            sent: 0,
            under_way: VecDeque::new(),
            is_ending: false,
            tally: Tally::of("presences delivered"),
        }
    }

    fn send(&mut self, net: &mut Net) {
        let stamp = if self.domain_knows { String::new() } else { format!(" from='{}'", self.first) };
        net.say(0, &format!("<presence{stamp}><status>s{:08}</status></presence>", self.sent));
        self.sent += 1;
        self.under_way.push_back((Instant::now(), 0));
    }

    /// RFC 6121 section 3: the first lets whoever asks see its presence.
    fn subscription(&mut self, net: &mut Net, who: usize, stanza: &str) {
        match (attribute(stanza, "type"), attribute(stanza, "from")) {
            (Some("subscribe"), Some(from)) if who == 0 => {
                net.say(0, &format!("<presence type='subscribed' to='{from}'/>"));
            }
            (Some("subscribed"), _) if who > 0 => self.subscribed += 1,
            _ => (),
        }
    }

    /// One more has been told of a change; once all have, the next follows.
    fn told(&mut self, net: &mut Net, number: u64) {
        let first = self.sent - self.under_way.len() as u64;
        let index = usize::try_from(number - first).unwrap_or(usize::MAX);
        if let Some((_, told)) = self.under_way.get_mut(index) {
            *told += 1;
        }
        while let Some((since, _)) = self.under_way.front().filter(|(_, told)| *told == self.contacts) {
            self.tally.took(*since);
            self.under_way.pop_front();
            if !self.is_ending {
                self.send(net);
            }
        }
    }
}

impl Work for Fan {
    fn prepare(&mut self, net: &mut Net) -> Result<()> {
        if !self.domain_knows {
            return Ok(());
        }
        for who in 1..=self.contacts {
            net.say(who, &format!("<presence type='subscribe' to='{}'/>", self.first_account));
        }
        let start = Instant::now();
        while self.subscribed < self.contacts {
            net.turn(Some(Duration::from_millis(100)), self)?;
            if start.elapsed() > PATIENCE {
                return Err(format!("{} of {} may see it", self.subscribed, self.contacts).into());
            }
        }
        Ok(())
    }

    fn begin(&mut self, net: &mut Net) {
        (0..self.window).for_each(|_| self.send(net));
    }

    fn hear(&mut self, net: &mut Net, who: usize, stanza: &str) -> Result<()> {
        if stanza.starts_with("<stream:error") {
            return Err(format!("{:?}: {stanza}", self.accounts.get(who)).into());
        }
        if !stanza.starts_with("<presence") {
            return Ok(());
        }
        let status = stanza.split_once("<status>s").and_then(|(_, rest)| rest.split_once("</status>"));
        let number = status.and_then(|(number, _)| number.parse::<u64>().ok());
        let (Some(number), true) = (number, who > 0) else {
            self.subscription(net, who, stanza);
            return Ok(());
        };
        let Some(expected) = self.expected.get_mut(who) else { return Ok(()) };
        if *expected != number || attribute(stanza, "from") != Some(&self.first) {
            self.tally.note_wrong(stanza);
            return Ok(());
        }
        *expected += 1;
        self.tally.counted += 1;
        self.told(net, number);
        Ok(())
    }

    fn end(&mut self) {
        self.is_ending = true;
    }

    fn is_done(&self) -> bool {
        self.under_way.is_empty()
    }

    fn missing(&mut self) {
        self.tally.missing = self.under_way.iter().map(|(_, told)| self.contacts - told).sum();
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}
