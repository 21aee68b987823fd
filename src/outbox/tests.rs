//! Tests of the outboxes: limits, acknowledgements, what inactive clients get.

use super::*;
use crate::xmpp::slab::Slab;

fn limits(soft: usize) -> OutboxLimits {
    OutboxLimits { soft, unacknowledged: 4 * soft, stall: 30 }
}

fn one(limit: usize) -> (Outboxes, Key) {
    let mut outboxes = Outboxes::new(limits(limit));
    let key = Slab::new().insert_with(|_| ());
    outboxes.open(key);
    (outboxes, key)
}

fn text(outboxes: &Outboxes, key: Key) -> String {
    String::from_utf8(outboxes.outgoing(key).bytes.to_vec()).unwrap()
}

fn put(outboxes: &mut Outboxes, key: Key, text: &str) -> bool {
    outboxes.send(key, Outbound::Bytes(text.as_bytes()))
}

fn send_all(outboxes: &mut Outboxes, key: Key) -> String {
    while outboxes.next_dirty().is_some() {}
    let text = text(outboxes, key);
    outboxes.sent(key, text.len());
    text
}

#[test]
fn what_is_written_waits_until_it_is_sent() {
    let (mut outboxes, key) = one(100);
    assert!(put(&mut outboxes, key, "abcdef"));
    assert_eq!((outboxes.next_dirty(), outboxes.next_dirty()), (Some(key), None));
    outboxes.sent(key, 2);
    assert_eq!(text(&outboxes, key), "cdef");
    outboxes.sent(key, 3);
    assert_eq!(text(&outboxes, key), "f");
    outboxes.sent(key, 1);
    assert_eq!(text(&outboxes, key), "");
}

/// Two streams: the first is written to, the second writes.
fn two(soft: usize) -> (Outboxes, Key, Key) {
    let (mut outboxes, mut keys) = (Outboxes::new(limits(soft)), Slab::new());
    let [reader, writer] = [keys.insert_with(|_| ()), keys.insert_with(|_| ())];
    outboxes.open(reader);
    outboxes.open(writer);
    (outboxes, reader, writer)
}

fn message(body: usize) -> Element {
    let body = Element::new("body", ns::CLIENT).with_text("x".repeat(body));
    Element::new("message", ns::CLIENT).with(body)
}

#[test]
fn an_outbox_holds_no_more_than_twice_its_limit_and_one_thing_no_more_than_that() {
    for managed in [false, true] {
        let (mut outboxes, key) = one(1_000);
        if managed {
            outboxes.manage(key);
        }
        let most = limits(1_000).hard(managed);
        assert_eq!(most, if managed { 6_000 } else { 2_000 });
        let long = "x".repeat(1_000);
        assert!(!put(&mut outboxes, key, &"x".repeat(1_001)), "one thing is longer than the soft limit");
        (0..most / 1_000).for_each(|_| assert!(put(&mut outboxes, key, &long)));
        assert!(!outboxes.send(key, &message(1)), "a message can be refused");
        assert_eq!(outboxes.next_closing(), None, "and nobody is given up for it");
        assert!(!put(&mut outboxes, key, "x"), "what cannot be is too much");
        assert_eq!((outboxes.next_closing(), outboxes.next_closing()), (Some(key), None));
        assert!(text(&outboxes, key).contains("x<stream:error><resource-constraint "));
        assert_eq!(outboxes.outgoing(key).then, Then::CloseWhenSent);
    }
}

#[test]
fn who_reads_too_little_is_not_read_from() {
    let (mut outboxes, key) = one(1_000);
    put(&mut outboxes, key, &"x".repeat(1_000));
    assert!(!outboxes.is_throttled(key), "at the limit");
    put(&mut outboxes, key, "x");
    assert!(outboxes.is_throttled(key), "over it");
    assert!(outboxes.is_urgent());
    while outboxes.next_dirty().is_some() {}
    assert!(!outboxes.is_urgent(), "it was named");
    outboxes.sent(key, 500);
    assert!(outboxes.is_throttled(key), "until half of it is gone");
    outboxes.sent(key, 1);
    assert!(!outboxes.is_throttled(key));
    assert_eq!((outboxes.next_ready(), outboxes.next_ready()), (Some(key), None));
}

#[test]
fn who_takes_no_byte_for_long_is_given_up() {
    let (mut outboxes, key) = one(1_000);
    put(&mut outboxes, key, &"x".repeat(1_000));
    outboxes.set_time(Duration::from_secs(100));
    outboxes.look_at_stalled();
    put(&mut outboxes, key, "y");
    assert_eq!(outboxes.next_closing(), None, "what is within the limit may wait for ever");
    outboxes.set_time(Duration::from_secs(129));
    outboxes.sent(key, 1);
    put(&mut outboxes, key, "y");
    outboxes.set_time(Duration::from_secs(158));
    outboxes.look_at_stalled();
    assert_eq!((outboxes.next_closing(), outboxes.next_look()), (None, Some(Duration::from_secs(159))));
    outboxes.set_time(Duration::from_secs(159));
    outboxes.look_at_stalled();
    assert_eq!((outboxes.next_closing(), outboxes.next_look()), (Some(key), None));
}

#[test]
fn who_sends_too_much_waits_for_the_reader_but_not_for_long() {
    let (mut outboxes, reader, writer) = two(8_000);
    put(&mut outboxes, reader, &"x".repeat(8_000));
    outboxes.act_for(Some(writer));
    put(&mut outboxes, reader, &"y".repeat(1_000));
    assert!(outboxes.is_throttled(reader) && !outboxes.is_throttled(writer), "within the allowance");
    put(&mut outboxes, reader, "y");
    assert!(outboxes.is_throttled(writer));
    outboxes.set_time(Duration::from_secs(4));
    outboxes.look_at_stalled();
    assert!(outboxes.is_throttled(writer) && outboxes.next_ready().is_none());
    outboxes.set_time(Duration::from_secs(5));
    outboxes.look_at_stalled();
    assert_eq!((outboxes.is_throttled(writer), outboxes.next_ready()), (false, Some(writer)));
    put(&mut outboxes, reader, "y");
    assert!(!outboxes.is_throttled(writer), "once is enough");
    outboxes.sent(reader, 9_002);
    assert_eq!((outboxes.next_ready(), outboxes.next_ready()), (Some(reader), None));
    // Whoever goes keeps nobody.
    for leave in [Outboxes::forget, |outboxes: &mut Outboxes, key| outboxes.detach(key)] {
        let (mut outboxes, reader, writer) = two(8_000);
        outboxes.act_for(Some(writer));
        (0..2).for_each(|_| assert!(put(&mut outboxes, reader, &"y".repeat(5_000))));
        assert!(outboxes.is_throttled(writer));
        leave(&mut outboxes, reader);
        assert!(!outboxes.is_throttled(writer) && outboxes.next_ready().is_some());
    }
}

#[test]
fn what_is_on_its_way_is_counted_apart_from_what_waits() {
    let (mut outboxes, key) = one(1_000);
    outboxes.manage(key);
    for _ in 0..8 {
        put(&mut outboxes, key, &"x".repeat(500));
        let waiting = outboxes.outgoing(key).bytes.len();
        outboxes.sent(key, waiting);
        assert!(!outboxes.is_throttled(key));
    }
    put(&mut outboxes, key, "x");
    outboxes.sent(key, 1);
    put(&mut outboxes, key, "x");
    assert!(outboxes.is_throttled(key), "more than so much is not acknowledged");
    assert_eq!(outboxes.acknowledge(key, 1), Ok(vec![]));
    assert!(!outboxes.is_throttled(key));
}

#[test]
fn an_answer_that_is_too_long_is_an_error() {
    let (mut outboxes, key) = one(1_000);
    let answer = |bytes: usize| {
        let answer = Element::new("iq", ns::CLIENT).with_attr("id", "1").with_attr("type", "result");
        answer.with_attr("to", "a").with(Element::new("q", "urn:q").with_text("x".repeat(bytes)))
    };
    assert!(outboxes.send(key, &answer(1_000)));
    let error = text(&outboxes, key);
    assert!(
        error.starts_with("<iq id='1' to='a' type='error'><error ") && error.contains("<resource-constraint")
    );
}

#[test]
fn one_stanza_over_the_limit_is_refused_and_cuts_nobody_off() {
    let (mut outboxes, key) = one(3);
    assert!(!put(&mut outboxes, key, "abcd"));
    assert_eq!(outboxes.next_closing(), None);
    assert!(put(&mut outboxes, key, "abc"));
}

#[test]
fn a_stream_ends_once_and_takes_answers_until_then() {
    let (mut outboxes, key) = one(100);
    outboxes.end(key, None);
    outboxes.end(key, Some(StreamError::Conflict("why")));
    assert!(put(&mut outboxes, key, "answer"));
    assert_eq!((outboxes.next_closing(), outboxes.next_closing()), (Some(key), None));
    assert_eq!(text(&outboxes, key), "answer</stream:stream>");
    outboxes.abandon(key);
    assert_eq!(outboxes.outgoing(key), Outgoing { bytes: &[], then: Then::CloseNow });
}

const R: &str = "<r xmlns='urn:xmpp:sm:3'/>";

#[test]
fn stanzas_are_kept_until_they_are_acknowledged() {
    let (mut outboxes, key) = one(100);
    put(&mut outboxes, key, "before");
    assert!(outboxes.manage(key) && !outboxes.manage(key));
    put(&mut outboxes, key, "one");
    outboxes.set_time(Duration::from_secs(2));
    put(&mut outboxes, key, "two");
    assert_eq!(send_all(&mut outboxes, key), format!("beforeonetwo{R}"));
    outboxes.set_time(Duration::from_millis(3_999));
    put(&mut outboxes, key, "three");
    assert_eq!(send_all(&mut outboxes, key), "three", "one request at a time");
    assert_eq!(outboxes.acknowledge(key, 4), Err(Miscount::TooHigh { sent: 3 }), "more than there were");
    assert_eq!(outboxes.acknowledge(key, 1), Ok(vec![]));
    assert_eq!(send_all(&mut outboxes, key), R, "the rest is asked for");
    assert_eq!(outboxes.acknowledge(key, 1), Ok(vec![]));
    assert_eq!(send_all(&mut outboxes, key), "", "but not again while there is nothing new");
    let at = |number, second| Moment { number, second };
    assert_eq!(
        outboxes.take_unacknowledged(key).0,
        [
            Unacknowledged {
                bytes: b"two".to_vec(),
                written: at(2, 2),
                is_answer: false,
                is_delayed: false,
                stored: None
            },
            Unacknowledged {
                bytes: b"three".to_vec(),
                written: at(3, 3),
                is_answer: false,
                is_delayed: false,
                stored: None,
            },
        ],
    );
}

#[test]
fn an_outbox_that_was_acknowledged_needs_no_memory() {
    let (mut outboxes, key) = one(10_000);
    outboxes.manage(key);
    (0..1_000).for_each(|_| assert!(put(&mut outboxes, key, "stanza")));
    send_all(&mut outboxes, key);
    assert_eq!(outboxes.acknowledge(key, 1_000), Ok(vec![]));
    let outbox = outboxes.get(key).unwrap();
    assert_eq!(outbox.bytes.capacity(), 0);
    assert!(outbox.acknowledgements.as_ref().unwrap().entries.capacity() <= 2 * SPARE_ENTRIES);
}

#[test]
fn counters_wrap() {
    let (mut outboxes, key) = one(100);
    outboxes.manage(key);
    if let Some(acknowledgements) = outboxes.get_mut(key).and_then(|outbox| outbox.acknowledgements.as_mut())
    {
        (acknowledgements.acknowledged, acknowledgements.received) = (u32::MAX, u32::MAX);
    }
    put(&mut outboxes, key, "one");
    put(&mut outboxes, key, "two");
    send_all(&mut outboxes, key);
    outboxes.note_received(key);
    assert_eq!((outboxes.acknowledge(key, 1), outboxes.take_received(key)), (Ok(vec![]), Some(0)));
    assert_eq!(outboxes.take_unacknowledged(key).0.len(), 0);
}

#[test]
fn what_was_not_sent_is_not_acknowledged() {
    let (mut outboxes, key) = one(100);
    outboxes.manage(key);
    put(&mut outboxes, key, "one");
    put(&mut outboxes, key, "two");
    outboxes.sent(key, 5);
    assert_eq!(outboxes.acknowledge(key, 2), Err(Miscount::TooHigh { sent: 1 }));
    assert_eq!(outboxes.acknowledge(key, 1), Ok(vec![]));
    assert_eq!(outboxes.acknowledge(key, 0), Err(Miscount::TooLow));
    assert_eq!(text(&outboxes, key), "o", "the rest of what is under way");
}

#[test]
fn what_is_under_way_when_a_stream_ends_is_sent_to_its_end() {
    let (mut outboxes, key) = one(100);
    put(&mut outboxes, key, "before");
    outboxes.manage(key);
    put(&mut outboxes, key, "one");
    put(&mut outboxes, key, "two");
    put(&mut outboxes, key, "three");
    outboxes.sent(key, 10);
    outboxes.end(key, None);
    assert_eq!(outboxes.next_closing(), Some(key));
    let left: Vec<_> = outboxes.take_unacknowledged(key).0.into_iter().map(|stanza| stanza.bytes).collect();
    assert_eq!(left, ["one", "two", "three"].map(Vec::from));
    assert_eq!(text(&outboxes, key), "wo</stream:stream>");
    let (mut outboxes, key) = one(100);
    put(&mut outboxes, key, "before");
    outboxes.manage(key);
    outboxes.sent(key, 2);
    put(&mut outboxes, key, "one");
    outboxes.take_unacknowledged(key);
    assert_eq!(text(&outboxes, key), "fore");
}

#[test]
fn another_stream_goes_on_where_one_was_lost() {
    let mut slab = Slab::new();
    let (old, new) = (slab.insert_with(|_| ()), slab.insert_with(|_| ()));
    let mut outboxes = Outboxes::new(limits(100));
    outboxes.open(old);
    outboxes.open(new);
    outboxes.manage(old);
    put(&mut outboxes, old, "one");
    send_all(&mut outboxes, old);
    outboxes.set_time(Duration::from_secs(5));
    put(&mut outboxes, old, "two");
    outboxes.detach(old);
    assert!(put(&mut outboxes, old, "three"), "a lost connection is no reason to refuse");
    assert_eq!(outboxes.acknowledge(old, 1), Ok(vec![]));
    outboxes.set_time(Duration::from_secs(9));
    outboxes.resume(old, new, |stanza| stanza.bytes.extend_from_slice(b", late"));
    assert_eq!(send_all(&mut outboxes, new), format!("twothree, late{R}"));
    assert_eq!(outboxes.acknowledge(new, 2), Ok(vec![]));
    let left = Unacknowledged {
        bytes: b"three, late".to_vec(),
        written: Moment { number: 2, second: 5 },
        is_answer: false,
        is_delayed: false,
        stored: None,
    };
    assert_eq!(outboxes.take_unacknowledged(new).0, [left], "it was written when it was written first");
}

#[test]
fn an_inactive_client_has_no_more_room_than_others() {
    let presence = |from: &'static str, bytes: usize| {
        Element::new("presence", ns::CLIENT).with_attr("from", from).with_text("x".repeat(bytes))
    };
    let (mut outboxes, key) = one(10_000);
    outboxes.set_active(key, false);
    assert!(outboxes.send(key, &presence("a", 5_000)), "too long to be held back");
    assert!(text(&outboxes, key).len() > 5_000);
    let (mut outboxes, key) = one(5_000);
    outboxes.set_active(key, false);
    assert!(outboxes.send(key, &presence("a", 3_000)) && outboxes.send(key, &presence("b", 3_000)));
    assert!(!outboxes.is_throttled(key));
    outboxes.set_active(key, true);
    assert!(outboxes.is_throttled(key), "what was held back waits now");
}

#[test]
fn an_inactive_client_gets_the_last_of_each_kind_later() {
    let (mut outboxes, key) = one(1000);
    let presence = |from: &'static str, show: &'static str| {
        Element::new("presence", ns::CLIENT).with_attr("from", from).with_text(show)
    };
    outboxes.set_active(key, false);
    for element in [presence("a", "1"), presence("b", "2"), presence("a", "3")] {
        assert!(outboxes.send(key, &element));
    }
    assert_eq!(text(&outboxes, key), "");
    outboxes.send(key, &Element::new("message", ns::CLIENT).with(Element::new("body", ns::CLIENT)));
    let released = "<presence from='b'>2</presence><presence from='a'>3</presence><message><body/></message>";
    assert_eq!(text(&outboxes, key), released, "what cannot wait takes the rest along");
    outboxes.send(key, &presence("a", "4"));
    outboxes.set_active(key, true);
    assert!(text(&outboxes, key).ends_with("<presence from='a'>4</presence>"));
}

#[test]
fn what_is_for_a_stream_that_is_gone_does_not_reach_the_next_one() {
    let (mut outboxes, mut keys) = (Outboxes::new(limits(100)), Slab::new());
    let old = keys.insert_with(|_| ());
    outboxes.open(old);
    outboxes.forget(old);
    keys.remove(old);
    let new = keys.insert_with(|_| ());
    outboxes.open(new);
    assert!(old.slot() == new.slot() && !put(&mut outboxes, old, "x"));
    outboxes.end(old, None);
    outboxes.sent(old, 1);
    outboxes.abandon(old);
    assert_eq!((text(&outboxes, new).as_str(), outboxes.outgoing(new).then), ("", Then::GoOn));
    assert_eq!(outboxes.outgoing(old).then, Then::CloseNow);
}
