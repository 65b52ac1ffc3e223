//! Endurance: many connections for minutes, a fault each second; nothing may be lost, doubled or reordered on those that
//! survive, and memory may not climb.
//!
//! usage: `soak [--minutes N | --seconds N] [--connections 500] [--pace MILLISECONDS]`

#![forbid(unsafe_code)]

mod injection;
mod member;
mod report;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use wsproto_conformance::faults::Proxy;
use wsproto_io::ConnectOptions;
use wsproto_io::tls::ClientTls;

use crate::injection::{Injector, KINDS, Target};
use crate::member::{End, Member, Totals};
use crate::report::Memory;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug)]
struct Plan {
    time: Duration,
    connections: u64,
    /// How long a connection waits between two bursts of messages, on average.
    pace: Duration,
}

fn main() -> ExitCode {
    // Each connection takes three of the clients: its own, and two of the proxy.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        eprintln!("soak: the limit of file descriptors stays as it is: {error}");
    }
    match arguments().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("soak: FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// `None` for the server.
fn arguments() -> Result<Option<Plan>, Failure> {
    let mut plan = Plan { time: Duration::from_secs(120), connections: 500, pace: Duration::from_millis(2500) };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("minutes") => plan.time = Duration::from_secs(60 * arguments.value()?.parse::<u64>()?),
            Long("seconds") => plan.time = Duration::from_secs(arguments.value()?.parse()?),
            Long("connections") => plan.connections = arguments.value()?.parse()?,
            Long("pace") => plan.pace = Duration::from_millis(arguments.value()?.parse()?),
            Value(word) if word == "serve" => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(plan))
}

fn run(plan: Option<Plan>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match plan {
        None => runtime.block_on(server::run()),
        Some(plan) => runtime.block_on(soak(plan)),
    }
}

/// Starts the server; its addresses, plain and with TLS.
async fn start_server() -> Result<(Child, SocketAddr, SocketAddr), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut server = command.spawn()?;
    let mut line = String::new();
    let stdout = server.stdout.take().ok_or("the server has no standard output")?;
    BufReader::new(stdout).read_line(&mut line).await?;
    let (plain, secure) = line.trim().split_once(' ').ok_or("the server did not tell its addresses")?;
    Ok((server, plain.parse()?, secure.parse()?))
}

/// The connections, and what they are made of.
struct Crowd {
    plan: Plan,
    injector: Injector,
    targets: BTreeMap<u64, Target>,
    tasks: JoinSet<(u64, Result<End, Failure>)>,
    totals: Arc<Totals>,
    stop: watch::Receiver<bool>,
    /// With compression, and without.
    options: [ConnectOptions; 2],
    next: u64,
    survivors: u64,
    broken: u64,
}

impl Crowd {
    fn new(plan: Plan, injector: Injector, stop: watch::Receiver<bool>) -> Result<Self, Failure> {
        let options = ConnectOptions::new().tls(ClientTls::dangerous_without_verification()?);
        Ok(Self {
            plan,
            injector,
            targets: BTreeMap::new(),
            tasks: JoinSet::new(),
            totals: Arc::default(),
            stop,
            options: [options.clone(), options.compression(None)],
            next: 0,
            survivors: 0,
            broken: 0,
        })
    }

    async fn add(&mut self) -> Result<(), Failure> {
        let stream = self.next;
        self.next += 1;
        let mut member = Member::new(stream, Arc::clone(&self.totals), self.stop.clone(), self.plan.pace);
        let secure = member.is_secure();
        let options = &self.options[usize::from(stream % 2 == 1 && stream % 8 != 3)];
        let socket = member.connect(self.injector.proxy(secure).address(), options).await?;
        let tcp = socket.stream().tcp().ok_or(std::io::ErrorKind::NotConnected).map_err(std::io::Error::from)?;
        let address = tcp.local_addr()?;
        let control = Arc::clone(&member.control);
        let (manner, can_be_closed) = (member.manner, member.can_be_closed());
        self.targets.insert(stream, Target { address, secure, manner, can_be_closed, control });
        self.tasks.spawn(async move { (stream, member.run(socket).await) });
        Ok(())
    }

    /// Takes note of those that have ended; as many are missing.
    fn reap(&mut self) -> Result<u64, Failure> {
        let mut missing = 0;
        while let Some(ended) = self.tasks.try_join_next() {
            self.note(ended?)?;
            missing += 1;
        }
        Ok(missing)
    }

    fn note(&mut self, (stream, end): (u64, Result<End, Failure>)) -> Result<(), Failure> {
        self.targets.remove(&stream);
        match end? {
            End::Survived => self.survivors += 1,
            End::Broken => self.broken += 1,
        }
        Ok(())
    }
}

async fn soak(plan: Plan) -> Result<(), Failure> {
    let (server, plain, secure) = start_server().await?;
    let injector = Injector::new(Proxy::start(plain, None).await?, Proxy::start(secure, None).await?);
    let (stop, stopped) = watch::channel(false);
    let mut crowd = Crowd::new(plan, injector, stopped)?;
    let start = Instant::now();
    for _ in 0..plan.connections {
        crowd.add().await?;
    }
    println!("{} connections after {:.1} s", plan.connections, start.elapsed().as_secs_f64());

    let server_process = server.id().ok_or("the server has ended")?;
    let mut memory = [Memory::new("server", server_process), Memory::new("clients", std::process::id())];
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Instant::now();
    while begun.elapsed() < plan.time {
        seconds.tick().await;
        for _ in 0..crowd.reap()? {
            crowd.add().await?;
        }
        crowd.injector.strike(&crowd.targets);
        memory.iter_mut().for_each(Memory::sample);
    }
    crowd.injector.heal_all();
    stop.send_replace(true);
    let last = async {
        while let Some(ended) = crowd.tasks.join_next().await {
            crowd.note(ended?)?;
        }
        Ok::<(), Failure>(())
    };
    timeout(Duration::from_secs(120), last).await.map_err(|_| "some connections do not come to their end")??;
    let elapsed = start.elapsed();
    settle(&crowd.injector).await?;
    judge(&crowd, &memory, elapsed)
}

/// What has ended leaves nothing behind.
async fn settle(injector: &Injector) -> Result<(), Failure> {
    for _ in 0..100 {
        if injector.plain.connections() + injector.secure.connections() == 0 {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    let left = injector.plain.connections() + injector.secure.connections();
    Err(format!("{left} connections of the server's did not end with their clients").into())
}

fn judge(crowd: &Crowd, memory: &[Memory], elapsed: Duration) -> Result<(), Failure> {
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
    let totals = &crowd.totals;
    let mib = count(&totals.bytes) / (1024 * 1024);
    println!("{} messages came back, {mib} MiB, each checked; {:.0} s", count(&totals.messages), elapsed.as_secs_f64());
    println!("{} pings answered; {} futures dropped", count(&totals.pings), count(&totals.dropped));
    let faults: Vec<_> = crowd.injector.counts.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
    println!("faults: {}", faults.join(", "));
    println!("{} connections to their last message, {} ended by faults and replaced", crowd.survivors, crowd.broken);
    for memory in memory {
        println!("{}", memory.summary(elapsed));
    }
    for memory in memory {
        println!("{}", memory.trend()?);
    }
    let kinds = crowd.injector.counts.iter().filter(|(_, count)| **count > 0).count();
    if count(&totals.messages) == 0 || (elapsed >= Duration::from_secs(60) && kinds < KINDS.len()) {
        return Err(format!("this proves nothing: faults of {kinds} kinds, of {}", KINDS.len()).into());
    }
    if crowd.survivors < crowd.plan.connections / 2 {
        return Err(format!("only {} connections survived", crowd.survivors).into());
    }
    Ok(())
}
