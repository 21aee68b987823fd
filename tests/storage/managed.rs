//! Messages on streams with acknowledgements (XEP-0198), when the process is killed: what its client has not
//! acknowledged is there again, also what came while the stream had no connection; what it has acknowledged is not.

use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::process::{printed, Place, Server, PATIENCE};

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const PING: &str = "<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>";

/// A server of Romeo and Juliet, that makes all safe before it acknowledges it.
fn begin() -> (Place, Server) {
    let place = Place::new();
    for name in ["romeo", "juliet"] {
        printed(&place.data(), "secret\n", &["user", "add", name]);
    }
    let server = start(&place);
    (place, server)
}

fn start(place: &Place) -> Server {
    Server::start(place, &["--durability", "always"])
}

fn login(server: &Server, name: &str, resource: &str) -> Client {
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.log_in_as(name, resource, "secret"), Some(true));
    client
}

/// Romeo writes, and knows that the server has it.
fn write(server: &Server, to: &str, bodies: &[&str]) {
    let mut romeo = login(server, "romeo", "orchard");
    romeo.say(ENABLE);
    romeo.hear("<enabled").unwrap();
    for body in bodies {
        romeo.say(&format!("<message type='chat' to='{to}'><body>{body}</body></message>"));
    }
    romeo.say("<r xmlns='urn:xmpp:sm:3'/>");
    romeo.hear(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", bodies.len())).unwrap();
}

/// Juliet is there, on a stream with acknowledgements, and has heard what waited.
fn read_managed(server: &Server) -> (Client, String) {
    let mut juliet = login(server, "juliet", "balcony");
    juliet.say(&format!("{ENABLE}<presence/>{PING}"));
    let heard = juliet.answer("ping").unwrap();
    (juliet, heard)
}

/// What waits for Juliet, which then does no more.
fn collect(server: &Server) -> Vec<String> {
    let mut juliet = login(server, "juliet", "chamber");
    juliet.say(&format!("<presence/>{PING}"));
    bodies(&juliet.answer("ping").unwrap())
}

fn bodies(heard: &str) -> Vec<String> {
    let parts = heard.split("<body>").skip(1);
    parts.map(|part| part.split("</body>").next().unwrap().to_owned()).collect()
}

#[test]
fn what_is_not_acknowledged_comes_again() {
    let (place, server) = begin();
    write(&server, "juliet@localhost", &["1", "2", "3"]);
    let (mut juliet, heard) = read_managed(&server);
    assert_eq!(bodies(&heard), ["1", "2", "3"]);
    // Her own presence and the first two messages.
    juliet.say(&format!("<a xmlns='urn:xmpp:sm:3' h='3'/>{PING}"));
    juliet.answer("ping").unwrap();
    server.kill();
    let server = start(&place);
    assert_eq!(collect(&server), ["3"]);
    assert_eq!(collect(&server), [""; 0], "whoever does not acknowledge has it once it was sent");
}

#[test]
fn what_is_acknowledged_comes_no_more() {
    let (place, server) = begin();
    write(&server, "juliet@localhost", &["1", "2"]);
    let (mut juliet, heard) = read_managed(&server);
    assert_eq!(bodies(&heard), ["1", "2"]);
    juliet.say(&format!("<a xmlns='urn:xmpp:sm:3' h='3'/>{PING}"));
    juliet.answer("ping").unwrap();
    server.kill();
    assert_eq!(collect(&start(&place)), [""; 0]);
}

#[test]
fn what_comes_for_a_lost_stream_outlives_the_server() {
    let (place, server) = begin();
    let (juliet, heard) = read_managed(&server);
    drop(juliet);
    wait_until_lost(&place);
    write(&server, "juliet@localhost/balcony", &["1", "2"]);
    write(&server, "juliet@localhost", &["3"]);
    server.kill();
    let server = start(&place);
    assert_eq!((bodies(&heard), collect(&server)), (vec![], ["1", "2", "3"].map(String::from).to_vec()));
}

#[test]
fn what_came_for_a_lost_stream_and_is_acknowledged_on_the_next_comes_no_more() {
    let (place, server) = begin();
    let (juliet, heard) = read_managed(&server);
    let id = heard.split("id='").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    drop(juliet);
    wait_until_lost(&place);
    write(&server, "juliet@localhost/balcony", &["1", "2"]);
    let mut juliet = Client::connect_1_0(server.address).unwrap();
    juliet.prove("juliet", "secret").unwrap();
    // She has her own presence and the answer to her ping.
    juliet.say(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='2'/>"));
    juliet.hear("<resumed").unwrap();
    let heard = juliet.hear("<r xmlns='urn:xmpp:sm:3'/>").unwrap();
    assert_eq!(bodies(&heard), ["1", "2"]);
    juliet.say(&format!("<a xmlns='urn:xmpp:sm:3' h='3'/>{PING}"));
    juliet.answer("ping").unwrap();
    server.kill();
    assert_eq!(collect(&start(&place)), ["2"]);
}

/// The server has seen that a client's connection is gone.
fn wait_until_lost(place: &Place) {
    let start = Instant::now();
    while !std::fs::read_to_string(place.file("stderr")).unwrap().contains("has lost its connection") {
        assert!(start.elapsed() < PATIENCE, "the server does not see it");
        thread::sleep(Duration::from_millis(10));
    }
}
