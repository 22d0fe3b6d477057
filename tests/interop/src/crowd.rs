//! Many flows at a time, TCP and UDP to one port, from applications that know nothing of IPsec: each is to have a pair of
//! SAs of its own, and every packet is to go by that of its flow.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use socket2::{Domain, Socket, Type};

use crate::node::Child;
use crate::process::wait_for;
use crate::steps::Scene;
use crate::traffic::{self, MARKER};

/// The port of the server.
const PORT: u16 = 5001;
/// Our ports begin here; TCP and UDP have the same ones.
const FIRST: u16 = 20_000;
/// How long all flows together may take to come up, beside what each may: their SAs are negotiated one after the other.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long one may.
const EACH: Duration = Duration::from_secs(3);
/// How long a datagram waits for its answer before it is sent again, and a connection before it is tried again: the kernel
/// drops the packets of all flows while one asks.
const AGAIN: Duration = Duration::from_secs(8);
/// What each flow sends once all are up, and gets back.
const ROUNDS: u64 = 3;
/// Where the program's progress is, on the host that it runs on.
const PROGRESS: &str = "/run/crowd";

/// How long so many TCP and so many UDP flows may take.
fn patience(count: usize) -> Duration {
    PATIENCE + EACH * 2 * u32::try_from(count).unwrap_or(u32::MAX)
}

/// The program: brings the flows up, and says so by a file `up`; when there is a file `go`, each sends and receives
/// [`ROUNDS`] times, which a file `done` tells; it ends with a file `end`.
pub fn run(from: IpAddr, to: IpAddr, count: u16) -> Result<()> {
    let barrier = Arc::new(Barrier::new(2 * usize::from(count) + 1));
    let (to, patience) = (SocketAddr::new(to, PORT), patience(count.into()));
    let mut flows = Vec::new();
    for port in FIRST..FIRST + count {
        for is_tcp in [true, false] {
            let (own, barrier) = (SocketAddr::new(from, port), Arc::clone(&barrier));
            flows.push(std::thread::spawn(move || flow(is_tcp, (own, to), patience, &barrier)));
        }
    }
    for (tells, awaits) in [("up", "go"), ("done", "end")] {
        barrier.wait();
        std::fs::write(format!("{PROGRESS}/{tells}"), "")?;
        wait_for(patience.as_secs(), awaits, || Ok(std::fs::metadata(format!("{PROGRESS}/{awaits}"))?))?;
        barrier.wait();
    }
    flows.into_iter().try_for_each(|flow| flow.join().map_err(|_| anyhow!("a flow panicked"))?)
}

/// One flow. An error ends the program, for the others wait for this one.
fn flow(is_tcp: bool, (own, to): (SocketAddr, SocketAddr), patience: Duration, barrier: &Barrier) -> Result<()> {
    let opened = open(is_tcp, own, to, patience);
    let mut exchange = opened.unwrap_or_else(|error| {
        eprintln!("{own}: {error:#}");
        std::process::exit(1)
    });
    barrier.wait();
    barrier.wait();
    for _ in 0..ROUNDS {
        if let Err(error) = exchange() {
            eprintln!("{own}: {error:#}");
            std::process::exit(1);
        }
    }
    barrier.wait();
    barrier.wait();
    Ok(())
}

/// Brings a flow up; what it gives sends once and receives the answer.
fn open(is_tcp: bool, own: SocketAddr, to: SocketAddr, patience: Duration) -> Result<Box<dyn FnMut() -> Result<()>>> {
    let mut buffer = [0; MARKER.len()];
    if is_tcp {
        let mut stream = wait_for(patience.as_secs(), "a connection", || {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.set_tcp_nodelay(true)?;
            socket.bind(&own.into())?;
            socket.connect_timeout(&to.into(), AGAIN).context("connecting")?;
            Ok(TcpStream::from(socket))
        })?;
        stream.set_read_timeout(Some(patience))?;
        let mut exchange = move || {
            use std::io::{Read, Write};
            stream.write_all(MARKER)?;
            Ok(stream.read_exact(&mut buffer)?)
        };
        exchange()?;
        return Ok(Box::new(exchange));
    }
    let socket = UdpSocket::bind(own)?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(AGAIN))?;
    let end = Instant::now() + patience;
    // The packet that asks for SAs may be dropped, and said to be.
    while socket.send(MARKER).and_then(|_| socket.recv(&mut buffer)).is_err() {
        ensure!(Instant::now() < end, "no answer");
        std::thread::sleep(AGAIN / 4);
    }
    // A datagram that was only late has its answer, too.
    std::thread::sleep(AGAIN);
    socket.set_nonblocking(true)?;
    while socket.recv(&mut buffer).is_ok() {}
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(patience))?;
    Ok(Box::new(move || {
        socket.send(MARKER)?;
        socket.recv(&mut buffer)?;
        Ok(())
    }))
}

/// The server's program, for ever: returns to everybody what they send to this address.
pub fn serve(own: IpAddr) -> Result<()> {
    let datagrams = UdpSocket::bind((own, PORT))?;
    std::thread::spawn(move || {
        let mut buffer = [0; MARKER.len()];
        loop {
            // That somebody is gone is told with the next call.
            if let Ok((length, from)) = datagrams.recv_from(&mut buffer) {
                let _ = datagrams.send_to(&buffer[..length], from);
            }
        }
    });
    traffic::serve(PORT)
}

/// The step: so many TCP and so many UDP flows from Ravelin's side.
pub fn step(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let count: usize = words[usize::from(scene.full)].parse()?;
    let (there, _) = scene.plan.directions(words[2].parse()?)?;
    let helper = scene.helper.display().to_string();
    let swan = scene.swan_host;
    swan.sh(&format!("setsid {helper} crowd {} </dev/null >/run/crowd.log 2>&1 & echo $! >/run/crowd.pid", there.to))?;
    let outcome = cross(scene, &helper, count, (there.from, there.to));
    swan.sh("kill $(cat /run/crowd.pid)")?;
    outcome
}

fn cross(scene: &mut Scene<'_>, helper: &str, count: usize, (from, to): (&str, &str)) -> Result<()> {
    let host = scene.ravelin_host;
    host.sh(&format!(
        "rm -rf {PROGRESS}; mkdir {PROGRESS}
         setsid {helper} crowd {from} {to} {count} </dev/null >{PROGRESS}/log 2>&1 & echo $! >{PROGRESS}/pid"
    ))?;
    let told = |what: &str| {
        wait_for(patience(count).as_secs() + 60, what, || {
            host.sh(&format!(
                "[ -e {PROGRESS}/{what} ] || {{ cat {PROGRESS}/log; [ -e /proc/$(cat {PROGRESS}/pid) ] || echo ended; false; }}"
            ))
        })
    };
    told("up")?;
    let before = flows(scene, count)?;
    host.sh(&format!("touch {PROGRESS}/go"))?;
    told("done")?;
    let after = flows(scene, count)?;
    host.sh(&format!("touch {PROGRESS}/end"))?;
    for (flow, (inbound, outbound)) in after {
        let start = before.get(&flow).with_context(|| format!("{flow} has other SAs now"))?;
        let crossed = (inbound - start.0, outbound - start.1);
        // TCP acknowledges with packets of their own, at most one for each that came.
        let most = if flow.contains("[tcp/") { 2 * ROUNDS } else { ROUNDS };
        let range = ROUNDS..=most;
        ensure!(
            range.contains(&crossed.0) && range.contains(&crossed.1),
            "the peer's kernel counted {crossed:?} more packets on the SAs of {flow}, {range:?} crossed each way"
        );
    }
    Ok(())
}

/// What the peer counted on the SAs of each flow: they are as many as the flows, and both sides have the same.
fn flows(scene: &mut Scene<'_>, count: usize) -> Result<BTreeMap<String, (u64, u64)>> {
    wait_for(60, "SAs of its own for each flow on both sides", || {
        let (swan, ravelin) = (scene.swan.view()?, scene.ravelin.view()?);
        let names = |child: &Child| (child.spi_in.clone(), child.spi_out.clone());
        let mut theirs: Vec<_> = swan.children.iter().map(names).collect();
        let mut ours: Vec<_> =
            ravelin.children.iter().map(|child| (child.spi_out.clone(), child.spi_in.clone())).collect();
        theirs.sort();
        ours.sort();
        ensure!(theirs == ours, "the peer has {} SAs, Ravelin {}", theirs.len(), ours.len());
        let mut counted = BTreeMap::new();
        for child in &swan.children {
            let selector = child.fields.get("remote-ts").context("the peer lists no selector")?;
            ensure!(counted.insert(selector.clone(), child.packets).is_none(), "{selector} has several SAs");
        }
        let of = |kind: &str| counted.keys().filter(|flow| flow.contains(kind)).count();
        let (tcp, udp) = (of("/32[tcp/"), of("/32[udp/"));
        ensure!((tcp, udp, counted.len()) == (count, count, 2 * count), "{tcp} of TCP, {udp} of UDP: {counted:?}");
        Ok(counted)
    })
}
