//! What a host program may rely on of the library's types.
//!
//! Left out on purpose: what they do.

/// A host may put a server into a thread of its own.
#[test]
fn what_owns_a_server_can_be_sent_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<loquat::Server>();
    is_send::<loquat::Storage>();
    is_send::<loquat::Folder>();
    is_send::<loquat::RandomSource>();
    is_send::<loquat::Event>();
    #[cfg(feature = "net")]
    is_send::<loquat::Reactor>();
}
