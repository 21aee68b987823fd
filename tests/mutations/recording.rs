//! A crowd as a wire for transcripts, which remembers what their clients do.

use std::net::IpAddr;
use std::time::Duration;

use loquat::{Config, Server};

use crate::crowd::{Crowd, Deed};
use crate::support::wire::Wire;

pub struct Recording {
    pub crowd: Crowd,
    pub deeds: Vec<Deed>,
}

impl Recording {
    pub fn new(config: Config) -> Self {
        Self { crowd: Crowd::new(config), deeds: Vec::new() }
    }

    fn act(&mut self, deed: Deed) {
        self.crowd.act(&deed, &mut |len| len);
        self.deeds.push(deed);
    }
}

impl Wire for &mut Recording {
    fn server(&mut self) -> &mut Server {
        &mut self.crowd.server
    }

    fn set_address(&mut self, client: &str, address: IpAddr) {
        self.crowd.set_address(client, address);
    }

    fn send(&mut self, client: &str, bytes: &[u8]) {
        self.act(Deed::Send(client.into(), bytes.into()));
    }

    fn end_half(&mut self, client: &str) {
        self.act(Deed::EndHalf(client.into()));
    }

    fn hang_up(&mut self, client: &str) {
        self.act(Deed::HangUp(client.into()));
    }

    fn set_reading(&mut self, client: &str, reads: bool) {
        self.act(Deed::Reading(client.into(), reads));
    }

    fn tick(&mut self, time: Duration) {
        self.act(Deed::Tick(time));
    }

    fn receive(&mut self, client: &str, _: bool) -> Vec<u8> {
        self.crowd.news_of(client)
    }

    fn is_cut_off(&mut self, client: &str) -> bool {
        self.crowd.is_cut_off(client)
    }

    /// All has come: a crowd takes what there is after each deed.
    fn settle(&mut self) {}
}
