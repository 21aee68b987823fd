//! What an address prints is that address, and so is what its parts make.

#![no_main]

use libfuzzer_sys::fuzz_target;
use loquat::Jid;

fuzz_target!(|text: &str| {
    let Ok(jid) = text.parse::<Jid>() else { return };
    assert_eq!(jid.as_str().parse::<Jid>().as_ref(), Ok(&jid), "it prints another address");
    assert_eq!(
        Jid::new(jid.local(), jid.domain(), jid.resource()).as_ref(),
        Ok(&jid),
        "its parts make another"
    );
    for part in [jid.local(), Some(jid.domain()), jid.resource()].into_iter().flatten() {
        assert!((1..=1023).contains(&part.len()), "a part of {} bytes", part.len());
    }
    let bare = jid.to_bare();
    assert_eq!((bare.as_str(), bare.is_bare()), (jid.bare_str(), true));
    assert_eq!(bare.as_str().parse::<Jid>().as_ref(), Ok(&bare));
    match jid.resource() {
        Some(resource) => assert_eq!(bare.with_resource(resource).as_ref(), Ok(&jid)),
        None => assert_eq!(bare, jid),
    }
    assert_eq!(jid.at_domain(jid.domain()).as_ref(), Ok(&jid));
});
