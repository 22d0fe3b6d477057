//! The programs of many flows at a time, TCP and UDP to one port: applications that know nothing of IPsec and set nothing
//! about it on their sockets. What is asserted of them is in `steps/crowd.rs`.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use socket2::{Domain, Socket, Type};

use crate::process::wait_for;
use crate::traffic::{self, MARKER};

/// The port of the server.
pub const PORT: u16 = 5001;
/// Our ports begin here; TCP and UDP have the same ones.
const FIRST: u16 = 20_000;
/// How long all flows together may take to come up, beside what each may: their SAs are negotiated one after the other.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long one may.
const EACH: Duration = Duration::from_secs(3);
/// How long a datagram waits for its answer before it is sent again, and a connection before it is tried again: the kernel
/// drops the packets of all flows while one asks.
const AGAIN: Duration = Duration::from_secs(8);
/// How often each flow sends while others are not up yet: an SA that carries nothing for long goes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// What each flow sends once all are up, and gets back.
pub const ROUNDS: u64 = 3;
/// Where the program's progress is, on the host that it runs on.
pub const PROGRESS: &str = "/run/crowd";

/// How long so many TCP and so many UDP flows may take.
pub fn patience(count: usize) -> Duration {
    PATIENCE + EACH * 2 * u32::try_from(count).unwrap_or(u32::MAX)
}

/// The program: brings the flows up, and says so by a file `up`; when there is a file `go`, each sends and receives
/// [`ROUNDS`] times, which a file `done` tells; it ends with a file `end`.
pub fn run(from: IpAddr, to: IpAddr, count: u16) -> Result<()> {
    let barrier = Arc::new(Barrier::new(2 * usize::from(count) + 1));
    let to_come = Arc::new(AtomicUsize::new(2 * usize::from(count)));
    let (to, patience) = (SocketAddr::new(to, PORT), patience(count.into()));
    let mut flows = Vec::new();
    for port in FIRST..FIRST + count {
        for is_tcp in [true, false] {
            let (own, to_come, barrier) = (SocketAddr::new(from, port), Arc::clone(&to_come), Arc::clone(&barrier));
            flows.push(std::thread::spawn(move || flow(is_tcp, (own, to), patience, &to_come, &barrier)));
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
fn flow(
    is_tcp: bool,
    (own, to): (SocketAddr, SocketAddr),
    patience: Duration,
    to_come: &AtomicUsize,
    barrier: &Barrier,
) -> Result<()> {
    let fatal = |error: anyhow::Error| -> ! {
        eprintln!("{own} {}: {error:#}", if is_tcp { "TCP" } else { "UDP" });
        std::process::exit(1)
    };
    let mut exchange = open(is_tcp, own, to, patience).unwrap_or_else(|error| fatal(error));
    to_come.fetch_sub(1, Ordering::SeqCst);
    let mut sent = Instant::now();
    while to_come.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(KEEPALIVE / 60);
        if sent.elapsed() >= KEEPALIVE {
            exchange().unwrap_or_else(|error| fatal(error));
            sent = Instant::now();
        }
    }
    barrier.wait();
    barrier.wait();
    for _ in 0..ROUNDS {
        exchange().unwrap_or_else(|error| fatal(error));
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
