//! Plays a transcript on a wire, and says at which line the two part.

use std::collections::HashMap;
use std::str::FromStr;

use loquat::xml::{Element, Item, Reader, XmlLimits};
use loquat::{legacy_digest, Config, Limits, Plaintext, Rate};

use super::compare::{same, same_attributes, Captures};
use super::scram;
use super::script::{seconds_of, Script, Step, What};
use super::wire::Wire;

const ROOT: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What a script's `!` lines make of a server's configuration. What is not said here is in `Player::set_up`.
pub fn config(script: &Script) -> Result<Config, String> {
    let domain =
        script.setup.iter().find(|words| words[0] == "domain").map_or("localhost", |words| &words[1]);
    let mut config = Config::new(domain).map_err(|error| error.to_string())?;
    config.registration = true;
    for words in &script.setup {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["alias", alias] => config.add_alias(alias).map_err(|error| error.to_string())?,
            ["admin", name] => config.add_admin(name).map_err(|error| error.to_string())?,
            ["registration", "closed"] => config.registration = false,
            ["legacy-auth", "off"] => config.legacy_auth = false,
            ["plaintext", "loopback"] => config.plaintext = Plaintext::Loopback,
            ["plaintext", "always"] => config.plaintext = Plaintext::Always,
            ["plaintext", "never"] => config.plaintext = Plaintext::Never,
            ["ping", "off"] => config.ping_interval = None,
            ["ping", interval] => config.ping_interval = Some(seconds_of(interval)?),
            ["scram-iterations", times] => config.scram_iterations = number(times)?,
            ["limit", name, value] => set_limit(&mut config.limits, name, value)?,
            ["rate", name, burst, interval] => {
                let rate = Rate { burst: number(burst)?, interval: seconds_of(interval)? };
                set_rate(&mut config.limits, name, rate)?;
            }
            ["domain" | "account" | "moved-in" | "subscribe" | "claim", ..] | ["from", _, _] => (),
            other => return Err(format!("! {}: no such setting", other.join(" "))),
        }
    }
    Ok(config)
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("want a number, not {text:?}"))
}

fn set_limit(limits: &mut Limits, name: &str, value: &str) -> Result<(), String> {
    match name {
        "connections" => limits.connections = number(value)?,
        "stanza_bytes" => limits.stanza_bytes = number(value)?,
        "stanza_bytes_before_login" => limits.stanza_bytes_before_login = number(value)?,
        "depth" => limits.depth = number(value)?,
        "elements" => limits.elements = number(value)?,
        "attributes" => limits.attributes = number(value)?,
        "attribute_bytes" => limits.attribute_bytes = number(value)?,
        "namespaces" => limits.namespaces = number(value)?,
        "namespace_name_bytes" => limits.namespace_name_bytes = number(value)?,
        "namespace_bytes" => limits.namespace_bytes = number(value)?,
        "vcard_bytes" => limits.vcard_bytes = number(value)?,
        "private_elements" => limits.private_elements = number(value)?,
        "private_bytes" => limits.private_bytes = number(value)?,
        "status_bytes" => limits.status_bytes = number(value)?,
        "commands" => limits.commands = number(value)?,
        "outbox_bytes" => limits.outbox_bytes = number(value)?,
        "unacknowledged_bytes" => limits.unacknowledged_bytes = number(value)?,
        "stall_time" => limits.stall_time = seconds_of(value)?,
        "presence_bytes" => limits.presence_bytes = number(value)?,
        "roster_items" => limits.roster_items = number(value)?,
        "roster_groups" => limits.roster_groups = number(value)?,
        "roster_name_bytes" => limits.roster_name_bytes = number(value)?,
        "subscription_requests" => limits.subscription_requests = number(value)?,
        "subscription_request_bytes" => limits.subscription_request_bytes = number(value)?,
        "blocklist_items" => limits.blocklist_items = number(value)?,
        "directed_presences" => limits.directed_presences = number(value)?,
        "resources" => limits.resources = number(value)?,
        "detached_resources" => limits.detached_resources = number(value)?,
        "offline_messages" => limits.offline_messages = number(value)?,
        "offline_bytes" => limits.offline_bytes = number(value)?,
        "login_attempts" => limits.login_attempts = number(value)?,
        "login_time" => limits.login_time = seconds_of(value)?,
        "ping_time" => limits.ping_time = seconds_of(value)?,
        "resumption_time" => limits.resumption_time = seconds_of(value)?,
        other => return Err(format!("no limit is called {other}")),
    }
    Ok(())
}

fn set_rate(limits: &mut Limits, name: &str, rate: Rate) -> Result<(), String> {
    match name {
        "guesses_by_address" => limits.failed_logins_by_address = rate,
        "guesses_of_account" => limits.failed_logins_of_account = rate,
        "registrations_by_address" => limits.registrations_by_address = rate,
        other => return Err(format!("no rate is called {other}")),
    }
    Ok(())
}

/// An account from another server, in the format of XEP-0227: it has a contact, who need not agree, or a request of
/// one.
fn moved_in(name: &str, password: &str, contact: &str, subscription: &str) -> String {
    let roster = match subscription {
        "asked" => format!("<presence xmlns='jabber:client' from='{contact}' type='subscribe'/>"),
        _ => format!(
            "<query xmlns='jabber:iq:roster'><item jid='{contact}' subscription='{subscription}'/></query>"
        ),
    };
    format!("<user xmlns='urn:xmpp:pie:0' name='{name}' password='{password}'>{roster}</user>")
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
    inside: bool,
}

impl<W: Wire> Player<W> {
    fn set_up(&mut self, script: &Script) -> Result<(), String> {
        let domain = self.wire.server().config().domain().to_owned();
        self.captures.insert("domain".into(), domain.clone());
        for words in &script.setup {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let server = self.wire.server();
            match words.as_slice() {
                ["account", name, password] => {
                    server.add_account(name, password).map_err(|e| e.to_string())?
                }
                ["moved-in", name, password, contact, subscription] => {
                    let user = moved_in(name, password, contact, subscription);
                    server.import(&user, &domain, None).map_err(|e| e.to_string())?;
                }
                ["subscribe", watcher, watched] => {
                    server.subscribe(watcher, watched).map_err(|e| e.to_string())?;
                }
                ["from", client, address] => {
                    let address = address.parse().map_err(|_| format!("{address} is no address"))?;
                    self.wire.set_address(client, address);
                }
                ["claim", address] => server.claim(address).map_err(|e| e.to_string())?,
                _ => (),
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
            What::Compare { one, other } => {
                let (one, other) = (self.expand(one)?, self.expand(other)?);
                if one != other {
                    return Err(format!("{one:?} is not {other:?}"));
                }
            }
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
        let ear = self
            .ears
            .entry(client.into())
            .or_insert_with(|| Ear { reader: Reader::new(XmlLimits::NONE), inside: false });
        loop {
            // One at a time: behind this one a new stream may begin.
            let item = ear.reader.next_item().map_err(|error| format!("the server sent {error}"))?;
            if let Some(item) = item {
                ear.inside |= matches!(item, Item::Header(_));
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
        if let Some(text) = inside.strip_prefix("base64 ") {
            return Ok(scram::base64(text.replace("\\0", "\0")));
        }
        match inside.split(' ').collect::<Vec<_>>().as_slice() {
            ["scram-first", head] => Ok(scram::first(head)),
            ["scram-salt", challenge] => scram::salt(&captured(challenge)?),
            ["scram-final", challenge, head, password, instead @ ..] => {
                scram::last(&captured(challenge)?, head, password, instead.first().copied())
            }
            ["scram-verifier", challenge, head, password] => {
                scram::verifier(&captured(challenge)?, head, password)
            }
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
    let mut reader = Reader::new(XmlLimits::NONE);
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
