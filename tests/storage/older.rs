//! A folder that an older version of the program has written opens, and all that it says is there.
//!
//! `data/version-1/` has such a folder, and what that program exported of it.

use std::fs;
use std::path::Path;

use super::client::{fits, Client};
use super::process::{printed, Place, Server};

/// Five accounts with contacts in all states, waiting requests and messages, blocked addresses, vCards, private
/// elements and times, some in the snapshot, some in the journal behind it.
#[test]
fn a_folder_of_version_1() {
    let place = Place::new();
    let data = place.data();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/storage/data/version-1");
    fs::create_dir(&data).unwrap();
    for name in ["journal.1.xml", "snapshot.1.xml"] {
        fs::copy(old.join(name), Path::new(&data).join(name)).unwrap();
    }
    let exported = fs::read_to_string(old.join("exported.xml")).unwrap();
    assert_eq!(printed(&data, "", &["export", "-"]), exported);
    let server = Server::start(&place, &[]);
    assert!(fits(server.address, "tybalt", "changed") && !fits(server.address, "tybalt", "tybalt secret"));
    let mut nurse = Client::connect(server.address).unwrap();
    assert_eq!(nurse.log_in("nurse", "nurse secret"), Some(true));
    nurse.say("<presence to='tybalt@localhost' type='subscribe'/>");
    nurse.ask("p", "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>").unwrap();
    server.kill();
    // The old journal stands as it was; what this version writes is in one of its own.
    assert_eq!(
        fs::read(format!("{data}/journal.1.xml")).unwrap(),
        fs::read(old.join("journal.1.xml")).unwrap()
    );
    let line = |text: &str, name: &str| {
        let user = format!("<user name='{name}'");
        text.lines().find(|line| line.starts_with(&user)).unwrap().to_owned()
    };
    let now = printed(&data, "", &["export", "-"]);
    for name in ["juliet", "romeo", "罗密欧"] {
        assert_eq!(line(&now, name), line(&exported, name));
    }
    let asked = "<item jid='tybalt@localhost' subscription='none' ask='subscribe'/>";
    assert!(line(&now, "nurse").contains(asked), "{now}");
    assert!(line(&now, "tybalt")
        .contains("<presence xmlns='jabber:client' type='subscribe' from='nurse@localhost'/>"));
}
