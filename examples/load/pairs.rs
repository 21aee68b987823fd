//! Clients chat in pairs, and each message is checked.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::login::Auth;
use crate::net::{attribute, Net};
use crate::work::{Tally, Work};
use crate::{Options, Result, PATIENCE};

const SMALL: &str =
    "<body>The quick brown fox jumps over the lazy dog while the server relays this one line of text \
                     from one friend to another.</body>";
const SEED: &str = "<body>今天下午三点在会议室讨论服务器的性能测试结果，请大家准时参加并带上上周的报告，谢谢。</body>\
                    <msgExtension xmlns='http://jabber.org/protocol/msgExtension'><msg>今天下午三点在会议室讨论服务器\
                    的性能测试结果，请大家准时参加并带上上周的报告，谢谢。</msg><time>2015-06-18 14:25:36</time>\
                    <uuid>3f2504e0-4f89-11d3-9a0c-0305e82c3301</uuid>\
                    <avaterUrl>http://www.example.com/avatar/u0.png</avaterUrl></msgExtension>";

/// The texts that a message must still hold when it arrives; a server may write the tags around them in its own way.
const SMALL_TEXTS: &[&str] = &["relays this one line of text from one friend to another."];
const SEED_TEXTS: &[&str] =
    &["请大家准时参加并带上上周的报告，谢谢。</msg>", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"];

/// Clients 0 and 1, 2 and 3, and so on: the first of each writes to the second.
pub(crate) struct Pairs {
    pairs: Vec<Pair>,
    content: &'static str,
    texts: &'static [&'static str],
    window: usize,
    /// Time between two messages, and when the next is due, if they do not follow upon each other.
    rate: Option<(Duration, Instant)>,
    turn: usize,
    is_ending: bool,
    tally: Tally,
}

struct Pair {
    from: String,
    head: String,
    sent: u64,
    /// When those were sent that have not arrived.
    under_way: VecDeque<Instant>,
}

impl Pair {
    /// The number of the message that must arrive next.
    fn expected(&self) -> u64 {
        self.sent - self.under_way.len() as u64
    }
}

impl Pairs {
    pub(crate) fn new(options: &Options) -> Self {
        let pair = |i: usize| {
            let (from, to) = (options.address(2 * i), options.address(2 * i + 1));
            // Where nobody stamps what is sent, it is stamped already.
            let stamp = if options.auth == Auth::None { format!(" from='{from}'") } else { String::new() };
            let head = format!("<message to='{to}'{stamp} type='chat'");
            Pair { from, head, sent: 0, under_way: VecDeque::new() }
        };
        Self {
            pairs: (0..options.users / 2).map(pair).collect(),
            content: if options.seed { SEED } else { SMALL },
            texts: if options.seed { SEED_TEXTS } else { SMALL_TEXTS },
            window: options.window,
            rate: options.rate.map(|rate| (Duration::from_secs_f64(1.0 / rate), Instant::now())),
            turn: 0,
            is_ending: false,
            tally: Tally::of("messages"),
        }
    }

    fn send(&mut self, net: &mut Net, pair: usize, since: Instant) {
        let Some(state) = self.pairs.get_mut(pair) else { return };
        net.say(2 * pair, &format!("{} id='s{:08}'>{}</message>", state.head, state.sent, self.content));
        state.sent += 1;
        state.under_way.push_back(since);
    }
}

impl Work for Pairs {
    fn begin(&mut self, net: &mut Net) {
        match &mut self.rate {
            Some((_, due)) => *due = Instant::now(),
            None => {
                for pair in 0..self.pairs.len() {
                    (0..self.window).for_each(|_| self.send(net, pair, Instant::now()));
                }
            }
        }
    }

    /// To be in time it looks again and again: a sleep ends a millisecond late.
    fn wake(&mut self, net: &mut Net) -> Duration {
        let Some((gap, mut due)) = self.rate else { return PATIENCE };
        while due <= Instant::now() {
            self.send(net, self.turn, due);
            self.turn = (self.turn + 1) % self.pairs.len().max(1);
            due += gap;
        }
        self.rate = Some((gap, due));
        Duration::ZERO
    }

    fn hear(&mut self, net: &mut Net, who: usize, stanza: &str) -> Result<()> {
        if stanza.starts_with("<stream:error") {
            return Err(format!("client {who}: {stanza}").into());
        }
        let Some(pair) = self.pairs.get_mut(who / 2).filter(|_| stanza.starts_with("<message")) else {
            return Ok(());
        };
        let number = attribute(stanza, "id").and_then(|id| id.strip_prefix('s')?.parse().ok());
        let is_right = who % 2 == 1
            && number == Some(pair.expected())
            && attribute(stanza, "from") == Some(&pair.from)
            && self.texts.iter().all(|text| stanza.contains(text));
        let Some(since) = pair.under_way.pop_front().filter(|_| is_right) else {
            self.tally.note_wrong(stanza);
            return Ok(());
        };
        self.tally.counted += 1;
        self.tally.took(since);
        if !self.is_ending && self.rate.is_none() {
            self.send(net, who / 2, Instant::now());
        }
        Ok(())
    }

    fn end(&mut self) {
        self.is_ending = true;
    }

    fn is_done(&self) -> bool {
        self.pairs.iter().all(|pair| pair.under_way.is_empty())
    }

    fn missing(&mut self) {
        self.tally.missing = self.pairs.iter().map(|pair| pair.under_way.len()).sum();
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}
