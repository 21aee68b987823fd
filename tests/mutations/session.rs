//! Where runs start from: what the clients of each transcript do, and those of one session more.

use std::fs;

use crate::crowd::Deed;
use crate::recording::Recording;
use crate::support::player::{config, play};
use crate::support::script::{Script, What};

pub struct Session {
    pub name: String,
    /// What the server is told first, but for its limits.
    pub setup: Script,
    pub deeds: Vec<Deed>,
}

/// As few as there can be: what a key costs is no matter here. What was recorded holds for keys of as many.
pub const SCRAM_ITERATIONS: u32 = 1;

/// Something of everything that is old, in few words. Nothing in it depends on what the server answers.
const BUILT_IN: &str = "\
! account anna a
! account bert b
! subscribe anna bert
! subscribe bert anna
anna C: <stream:stream to='localhost' version='1.0' xmlns='jabber:client'
        xmlns:stream='http://etherx.jabber.org/streams'>
anna C: <iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>
anna C: <iq type='set' id='2'><query xmlns='jabber:iq:register'>
        <username>carl</username><password>c</password></query></iq>
anna C: <iq type='get' id='3'><query xmlns='jabber:iq:auth'><username>anna</username></query></iq>
anna C: <iq type='set' id='4'><query xmlns='jabber:iq:auth'><username>anna</username><password>a</password>
        <resource>Büro &amp; 家</resource></query></iq>
anna C: <iq type='get' id='5'><query xmlns='jabber:iq:roster'/></iq><presence><priority>-1</priority></presence>
bert C: <?xml version='1.0' encoding='UTF-8'?><s:stream xmlns='jabber:client'
        xmlns:s='http://etherx.jabber.org/streams'>
bert C: <iq type='set' id='6'><query xmlns='jabber:iq:auth'><username>bert</username><password>b</password>
        <resource>r</resource></query></iq><presence><show>away</show><status>在线</status></presence>
bert C: <message to='anna@localhost' type='chat' id='7' xml:lang='de'><body>Grüße 😀 &lt;&#x4E16;&gt;</body></message>
bert C: <message to='anna@localhost/Büro &amp; 家'><a xmlns='urn:a' xmlns:p='urn:p' p:x='1' y='&#10;'>
        <p:b/><![CDATA[<&]]></a></message>
bert C: <message to='bystander-one@localhost' type='headline'><body>hear, hear</body></message>
anna C: <presence to='bert@localhost/r'/><presence to='nobody@localhost' type='subscribe'/>
anna C: <iq type='get' id='8' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
anna C: <iq type='set' id='9' to='bert@localhost/r'><n xmlns='urn:n'>push</n></iq>
bert C: <iq type='result' id='9' to='anna@localhost/Büro &amp; 家'/>
anna C: <iq type='get' id='10' to='bystander-two@localhost/bench'><q xmlns='urn:q'/></iq>
anna stops reading
bert C: {200 times <message to='anna@localhost/Büro &amp; 家'><body>more and more and more</body></message>}
anna C: <iq type='set' id='11' to='elsewhere.example'><q xmlns='urn:q'/></iq>
dora C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
dora C: <iq type='set' id='12'><query xmlns='jabber:iq:auth'><username>bert</username><password>b</password>
        <resource>r</resource></query></iq>
tick 30s
anna reads again
dora ends its half
anna C: <presence type='unavailable'/></stream:stream>
";

pub fn sessions() -> Vec<Session> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let transcripts = paths.iter().map(|path| {
        let name = path.display().to_string();
        recorded(&name, &fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"))
    });
    std::iter::once(built_in()).chain(transcripts).collect()
}

fn recorded(name: &str, text: &str) -> Result<Session, String> {
    let script = Script::parse(text)?;
    let mut config = config(&script)?;
    config.scram_iterations = SCRAM_ITERATIONS;
    let mut recording = Recording::new(config);
    play(&script, &mut recording)?;
    Ok(session(name, script.setup, recording.deeds))
}

fn built_in() -> Session {
    let script = Script::parse(BUILT_IN).unwrap();
    let deeds = script.steps.into_iter().filter_map(|step| match step.what {
        What::Send { client, text } => Some(Deed::Send(client, repeated(&text).into_bytes())),
        What::EndHalf { client } => Some(Deed::EndHalf(client)),
        What::Reading { client, reads } => Some(Deed::Reading(client, reads)),
        What::Tick(time) => Some(Deed::Tick(time)),
        _ => None,
    });
    session("built in", script.setup, deeds.collect())
}

/// Limits stay out: a bystander must not run into them.
fn session(name: &str, mut setup: Vec<Vec<String>>, deeds: Vec<Deed>) -> Session {
    setup.retain(|words| words[0] != "limit");
    Session { name: name.into(), setup: Script { setup, steps: Vec::new() }, deeds }
}

fn repeated(text: &str) -> String {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')?.split_once(" times ")) {
        Some((times, what)) => what.repeat(times.parse().unwrap()),
        None => text.into(),
    }
}
