//! Load for an XMPP server, whichever: many clients in one thread, what they saw, and what they cost the server.
//!
//! ```text
//! cargo run --release --example load -- HOST:PORT [OPTION]...
//!
//!   --users N            how many clients [100]; they are called load0, load1 and so on, with the password `secret`
//!   --register           their accounts are made first (XEP-0077)
//!   --auth legacy|plain|none
//!                        how they log in: by XEP-0078 (its digest, where the server takes it), by SASL PLAIN, or
//!                        not at all [legacy]
//!   --at-once N          logins under way at a time [64]
//!   --pairs              then each chats with its neighbour, and every message is checked
//!   --fan                then all get to see the presence of the first, which changes (accounts must be new)
//!                        without either they stay online and say nothing
//!   --window N           messages under way in each pair, or changes of presence [1]
//!   --rate N             instead: so many messages a second in all, each measured from when it was due
//!   --size small|seed    messages of about 200 bytes, or of 560 in Chinese with an extension [small]
//!   --seconds N          for how long, after one second that does not count [10]
//!   --pid N              the server's process, for its time and memory; may be repeated
//!   --domain NAME        the server's name [localhost]
//!   --name NAME          what the clients are called before their number [load]
//! ```
//!
//! It ends with 0 if all came online, and every message came once, in order, whole and with the sender's address.
//! Several addresses may be given, which the clients use in turn: from one to one there are no more than 28,000
//! connections.
//!
//! Read first: `main`, which is the whole of it. `load/net.rs` has the sockets; what the clients do is in the files
//! beside it. Left out on purpose: TLS, and a parser: what comes is cut into stanzas and searched, so that one thread
//! can be ahead of the server. `client.rs` shows how a client should read.

#![allow(clippy::print_stdout, clippy::print_stderr)] // to tell what it saw is what it is for

#[path = "load/fan.rs"]
mod fan;
#[path = "load/login.rs"]
mod login;
#[path = "load/net.rs"]
mod net;
#[path = "load/pairs.rs"]
mod pairs;
#[path = "load/report.rs"]
mod report;
#[path = "load/work.rs"]
mod work;

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use fan::Fan;
use login::{Auth, Login, RESOURCE};
use net::Net;
use pairs::Pairs;
use report::{print_online, print_work, Usage};
use work::{Idle, Tally, Work};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is not counted at the beginning: buffers grow, caches fill.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long nothing may happen before something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what is under way at the end may still take.
const LAST: Duration = Duration::from_secs(5);
/// How long a server may take to notice that all have left.
const AFTERWARDS: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    match Options::read(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `true` if nothing was wrong.
fn run(options: &Options) -> Result<bool> {
    let mut net = Net::new()?;
    let before = Usage::of(&options.pids)?;
    let start = Instant::now();
    log_in(&mut net, options)?;
    let online = Usage::of(&options.pids)?;
    print_online(options.users, start.elapsed(), before, online);
    let tally = match options.work {
        Some(What::Pairs) => measure(&mut net, Pairs::new(options), options)?,
        Some(What::Fan) => measure(&mut net, Fan::new(options), options)?,
        None => {
            stay(&mut net, options)?;
            Tally::default()
        }
    };
    drop(net);
    if !options.pids.is_empty() {
        thread::sleep(AFTERWARDS);
        println!("afterwards: {:.1} MiB resident", Usage::of(&options.pids)?.mebibytes());
    }
    Ok(tally.is_right())
}

fn log_in(net: &mut Net, options: &Options) -> Result<()> {
    let mut login = Login::new(options);
    let mut heard = Instant::now();
    while login.online < options.users {
        let under_way = net.len() - login.online;
        for _ in under_way..options.at_once.min(options.users - login.online) {
            let address = options.addresses.get(net.len() % options.addresses.len());
            let who = net.connect(*address.ok_or("which server?")?)?;
            login.begin(net, who);
        }
        let online = login.online;
        net.turn(Some(PATIENCE), &mut login)?;
        if login.online > online {
            heard = Instant::now();
        }
        if heard.elapsed() > PATIENCE {
            return Err(format!("{} of {} are online, and no more come", login.online, options.users).into());
        }
    }
    Ok(())
}

/// Works, and counts what comes in the time that counts.
fn measure(net: &mut Net, mut work: impl Work, options: &Options) -> Result<Tally> {
    work.prepare(net)?;
    work.begin(net);
    go_on(net, &mut work, WARM_UP)?;
    let before = Usage::of(&options.pids)?;
    work.tally().reset();
    let took = go_on(net, &mut work, options.time)?;
    let after = Usage::of(&options.pids)?;
    let counted = work.tally().counted;
    work.end();
    // What is still under way must arrive, too.
    let patience = Instant::now() + LAST;
    while !work.is_done() && Instant::now() < patience {
        net.turn(Some(Duration::from_millis(100)), &mut work)?;
    }
    work.missing();
    let mut tally = std::mem::take(work.tally());
    tally.counted = counted;
    print_work(&mut tally, took, before, after);
    Ok(tally)
}

/// Works for so long; gives how long it was.
fn go_on(net: &mut Net, work: &mut impl Work, time: Duration) -> Result<Duration> {
    let start = Instant::now();
    while start.elapsed() < time {
        let patience = work.wake(net);
        net.turn(Some(patience.min(time.saturating_sub(start.elapsed()))), work)?;
    }
    Ok(start.elapsed())
}

/// What comes meanwhile is nobody's business.
fn stay(net: &mut Net, options: &Options) -> Result<()> {
    go_on(net, &mut Idle::default(), options.time).map(drop)
}

/// What the clients do once they are online.
#[derive(Clone, Copy)]
enum What {
    Pairs,
    Fan,
}

/// The command line.
struct Options {
    addresses: Vec<SocketAddr>,
    domain: String,
    name: String,
    users: usize,
    auth: Auth,
    register: bool,
    at_once: usize,
    work: Option<What>,
    window: usize,
    /// Messages a second.
    rate: Option<f64>,
    seed: bool,
    time: Duration,
    pids: Vec<u32>,
}

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            addresses: Vec::new(),
            domain: "localhost".into(),
            name: "load".into(),
            users: 100,
            auth: Auth::Legacy,
            register: false,
            at_once: 64,
            work: None,
            window: 1,
            rate: None,
            seed: false,
            time: Duration::from_secs(10),
            pids: Vec::new(),
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--domain" => options.domain = value()?,
                "--name" => options.name = value()?,
                "--users" => options.users = value()?.parse()?,
                "--auth" => options.auth = value()?.parse()?,
                "--register" => options.register = true,
                "--at-once" => options.at_once = value()?.parse()?,
                "--pairs" => options.work = Some(What::Pairs),
                "--fan" => options.work = Some(What::Fan),
                "--window" => options.window = value()?.parse()?,
                "--rate" => options.rate = Some(value()?.parse()?),
                "--size" => options.seed = size(&value()?)?,
                "--seconds" => options.time = Duration::from_secs_f64(value()?.parse()?),
                "--pid" => options.pids.push(value()?.parse()?),
                _ if arg.starts_with('-') => return Err(format!("{arg} is no option of `load`").into()),
                _ => options.addresses.extend(arg.to_socket_addrs()?.next()),
            }
        }
        if options.addresses.is_empty() {
            return Err("load HOST:PORT [OPTION]...; the head of examples/load.rs has the options".into());
        }
        Ok(options)
    }

    /// A client's bare address.
    fn account(&self, who: usize) -> String {
        format!("{}{who}@{}", self.name, self.domain)
    }

    /// A client's full address.
    fn address(&self, who: usize) -> String {
        format!("{}/{}", self.account(who), RESOURCE)
    }
}

/// Whether messages are those with the extension.
fn size(name: &str) -> Result<bool> {
    match name {
        "small" => Ok(false),
        "seed" => Ok(true),
        _ => Err("--size small or seed".into()),
    }
}
