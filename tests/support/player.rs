//! Plays a transcript on a wire, and says at which line the two part.

use std::collections::{HashMap, VecDeque};

use loquat::xml::{Element, Item, Reader, XmlLimits};
use loquat::{legacy_digest, Config, Limits};

use super::compare::{same, same_attributes, Captures};
use super::script::{Script, Step, What};
use super::wire::Wire;

/// Tests do not limit what the server says.
const NO_LIMITS: XmlLimits = XmlLimits {
    stanza_bytes: usize::MAX,
    depth: usize::MAX,
    elements: usize::MAX,
    attributes: usize::MAX,
    namespaces: usize::MAX - 3,
};

const ROOT: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What a script's `!` lines make of a server's configuration.
pub fn config(script: &Script) -> Result<Config, String> {
    let setting = |name: &'static str| script.setup.iter().filter(move |words| words[0] == name);
    let domain = setting("domain").next().map_or("localhost", |words| &words[1]);
    let mut config = Config::new(domain).map_err(|error| error.to_string())?;
    for words in setting("alias") {
        config.add_alias(&words[1]).map_err(|error| error.to_string())?;
    }
    config.registration = !setting("registration").any(|words| words[1] == "closed");
    for words in setting("limit") {
        set_limit(&mut config.limits, &words[1], words[2].parse().map_err(|_| "a limit is a number")?)?;
    }
    Ok(config)
}

fn set_limit(limits: &mut Limits, name: &str, value: usize) -> Result<(), String> {
    match name {
        "connections" => limits.connections = value,
        "stanza_bytes" => limits.stanza_bytes = value,
        "stanza_bytes_before_login" => limits.stanza_bytes_before_login = value,
        "depth" => limits.depth = value,
        "elements" => limits.elements = value,
        "attributes" => limits.attributes = value,
        "namespaces" => limits.namespaces = value,
        "outbox_bytes" => limits.outbox_bytes = value,
        "roster_items" => limits.roster_items = value,
        "roster_groups" => limits.roster_groups = value,
        "roster_name_bytes" => limits.roster_name_bytes = value,
        "subscription_requests" => limits.subscription_requests = value,
        "subscription_request_bytes" => limits.subscription_request_bytes = value,
        "directed_presences" => limits.directed_presences = value,
        "login_attempts" => {
            limits.login_attempts = u32::try_from(value).map_err(|error| error.to_string())?
        }
        other => return Err(format!("no limit is called {other}")),
    }
    Ok(())
}

/// One way to play. `Err` says where and what.
pub fn play(script: &Script, wire: impl Wire) -> Result<(), String> {
    let mut player = Player { wire, ears: HashMap::new(), captures: Captures::new() };
    player.set_up(script)?;
    for step in &script.steps {
        player.step(step).map_err(|error| format!("line {}: {error}", step.line))?;
    }
    player.end()
}

struct Player<W> {
    wire: W,
    /// What each client has got and the script has not yet mentioned.
    ears: HashMap<String, Ear>,
    captures: Captures,
}

struct Ear {
    reader: Reader,
    items: VecDeque<Item>,
    inside: bool,
}

impl<W: Wire> Player<W> {
    fn set_up(&mut self, script: &Script) -> Result<(), String> {
        let domain = self.wire.server().config().domain().to_owned();
        self.captures.insert("domain".into(), domain);
        for words in &script.setup {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let server = self.wire.server();
            match words.as_slice() {
                ["account", name, password] => {
                    server.add_account(name, password).map_err(|e| e.to_string())?
                }
                ["subscribe", watcher, watched] => {
                    server.subscribe(watcher, watched).map_err(|e| e.to_string())?;
                }
                ["domain" | "alias" | "registration", _] | ["limit", _, _] => (),
                other => return Err(format!("! {}: no such setting", other.join(" "))),
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.what {
            What::Send { client, text } => {
                let text = self.expand(text)?;
                self.wire.send(client, text.as_bytes());
            }
            What::SendBytes { client, bytes } => self.wire.send(client, bytes),
            What::Expect { client, text } => return self.expect(client, text),
            What::CutOff { client } if self.wire.is_cut_off(client) => return self.expect_nothing(client),
            What::CutOff { client } => return Err(format!("{client} is still connected")),
            What::HangUp { client } => {
                self.wire.hang_up(client);
                self.ears.remove(client);
            }
            What::EndHalf { client } => self.wire.end_half(client),
            What::Reading { client, reads } => self.wire.set_reading(client, *reads),
            What::Tick(time) => self.wire.tick(*time),
        }
        Ok(())
    }

    /// Whatever came and was not mentioned is a fault.
    fn end(mut self) -> Result<(), String> {
        self.wire.settle();
        let clients: Vec<String> = self.ears.keys().cloned().collect();
        clients.iter().try_for_each(|client| self.expect_nothing(client))
    }

    fn expect_nothing(&mut self, client: &str) -> Result<(), String> {
        match self.next_item(client, false)? {
            None => Ok(()),
            Some(item) => Err(format!("{client} got more: {}", show(&item))),
        }
    }

    fn expect(&mut self, client: &str, text: &str) -> Result<(), String> {
        let text = self.expand(text)?;
        for expected in expected_items(&text)? {
            if matches!(expected, Item::Header(_)) {
                self.restart(client);
            }
            let actual =
                self.next_item(client, true)?.ok_or_else(|| format!("{client} got nothing, not {text}"))?;
            let matched = match (&expected, &actual) {
                (Item::Header(wanted), Item::Header(got)) => {
                    same_attributes(&wanted.element, &got.element, &mut self.captures)
                }
                (Item::Stanza(wanted), Item::Stanza(got)) => same(wanted, got, &mut self.captures),
                (Item::Close, Item::Close) => Ok(()),
                _ => Err("not the same kind of thing".into()),
            };
            matched.map_err(|error| format!("{error}\n  got    {}\n  wanted {text}", show(&actual)))?;
        }
        Ok(())
    }

    /// A second header is a new stream over the same connection.
    fn restart(&mut self, client: &str) {
        if let Some(ear) = self.ears.get_mut(client).filter(|ear| ear.inside) {
            ear.reader.restart();
            ear.inside = false;
        }
    }

    fn next_item(&mut self, client: &str, patiently: bool) -> Result<Option<Item>, String> {
        let ear = self.ears.entry(client.into()).or_insert_with(|| Ear {
            reader: Reader::new(NO_LIMITS),
            items: VecDeque::new(),
            inside: false,
        });
        loop {
            while let Some(item) =
                ear.reader.next_item().map_err(|error| format!("the server sent {error}"))?
            {
                ear.inside |= matches!(item, Item::Header(_));
                ear.items.push_back(item);
            }
            if let Some(item) = ear.items.pop_front() {
                return Ok(Some(item));
            }
            let bytes = self.wire.receive(client, patiently);
            if bytes.is_empty() {
                return Ok(None);
            }
            ear.reader.push(&bytes);
        }
    }

    /// Puts in what `{...}` stands for, but for `{any}`, `{none}` and `{=name}`, which are for comparing.
    fn expand(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}').ok_or("a { without a }")?;
            out.push_str(before);
            out.push_str(&self.meaning(inside)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn meaning(&self, inside: &str) -> Result<String, String> {
        let captured =
            |name: &str| self.captures.get(name).cloned().ok_or(format!("nothing remembered as {name}"));
        if matches!(inside, "any" | "none") || inside.starts_with('=') {
            return Ok(format!("{{{inside}}}"));
        }
        if let Some((times, text)) = inside.split_once(" times ") {
            return Ok(text.repeat(times.parse().map_err(|_| format!("how often is {times:?}?"))?));
        }
        match inside.split(' ').collect::<Vec<_>>().as_slice() {
            ["sha1", id, password] => Ok(legacy_digest(&captured(id)?, password)),
            ["error", code, kind, name] => Ok(stanza_error(code, kind, name, "")),
            ["error", code, kind, name, "..."] => {
                let text = format!("<text xmlns='{STANZA_ERRORS}'>{{any}}</text>");
                Ok(stanza_error(code, kind, name, &text))
            }
            [name] => captured(name),
            _ => Err(format!("what is {{{inside}}}?")),
        }
    }
}

fn stanza_error(code: &str, kind: &str, name: &str, text: &str) -> String {
    format!("<error code='{code}' type='{kind}'><{name} xmlns='{STANZA_ERRORS}'/>{text}</error>")
}

fn expected_items(text: &str) -> Result<Vec<Item>, String> {
    let is_header = text.starts_with("<stream:stream") || text.starts_with("<?xml");
    let text = match is_header {
        true if text.contains("xmlns:stream") => text.to_owned(),
        true => text.replacen("<stream:stream", ROOT.trim_end_matches('>'), 1),
        false => format!("{ROOT}{text}"),
    };
    let mut reader = Reader::new(NO_LIMITS);
    reader.push(text.as_bytes());
    let mut items = Vec::new();
    while let Some(item) =
        reader.next_item().map_err(|error| format!("the script expects {error}: {text}"))?
    {
        items.push(item);
    }
    if !is_header {
        items.remove(0);
    }
    Ok(items)
}

fn show(item: &Item) -> String {
    match item {
        Item::Header(header) => header.element.to_string(),
        Item::Stanza(element) => Element::to_string(element),
        Item::Close => "</stream:stream>".into(),
    }
}
