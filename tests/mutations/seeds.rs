//! Makes the fuzzers' first inputs of the sessions: `cargo test --test mutations -- --ignored`.
//!
//! Left out on purpose: minimising; `cargo fuzz cmin` does it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::crowd::Deed;
use crate::session::{sessions, Session};
use crate::written;

/// Of the target `reader`: in pieces of 9 bytes, and no second stream.
const READER_HEAD: &[u8] = &[7, 0];

#[test]
#[ignore = "writes files into fuzz/corpus"]
fn write_seeds() {
    for (number, session) in sessions().iter().enumerate() {
        save("server", &number.to_string(), &written::write(&session.setup.setup, &session.deeds));
        for (name, bytes) in streams(session) {
            save("reader", &format!("{number}-{name}"), &[READER_HEAD, &bytes].concat());
        }
        for (index, address) in addresses(session).iter().enumerate() {
            save("jid", &format!("{number}-{index}"), address.as_bytes());
        }
    }
}

fn save(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("transcript-{name}")), bytes).unwrap();
}

/// All that each client sends.
fn streams(session: &Session) -> BTreeMap<&str, Vec<u8>> {
    let mut streams: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for deed in &session.deeds {
        if let Deed::Send(name, bytes) = deed {
            streams.entry(name).or_default().extend_from_slice(bytes);
        }
    }
    streams
}

/// Whom stanzas are for, and where streams lead.
fn addresses(session: &Session) -> BTreeSet<String> {
    let streams = streams(session);
    let texts = streams.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    texts
        .flat_map(|text| {
            let values = text.split(" to='").skip(1).filter_map(|rest| rest.split_once('\''));
            values.map(|(address, _)| address.to_owned()).collect::<Vec<_>>()
        })
        .collect()
}
