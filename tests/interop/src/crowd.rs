//! The programs of many flows at a time, TCP and UDP to one port: applications that know nothing of IPsec and set nothing
//! about it on their sockets. What is asserted of them is in `steps/crowd.rs`.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
/// How long at least a datagram waits for its answer before it is sent again, and a connection before it is tried again: the
/// kernel drops the packets of all flows while one asks.
const AGAIN: Duration = Duration::from_secs(3);
/// How much longer each flow waits than the one before it: what all try at the same moment, one only is asked for.
const LATER: Duration = Duration::from_millis(40);
/// How often each flow sends while others are not up yet, or are looked for: an SA that carries nothing for long goes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// What each flow sends once all are up, and gets back.
pub const ROUNDS: u64 = 3;
/// How long an answer may take then: what is lost of UDP is not sent again.
const ANSWER: Duration = Duration::from_secs(60);
/// Between the first packets of one flow and the next, so that no queue on the way overflows.
const APART: Duration = Duration::from_millis(20);
/// Octets that may wait for the server of UDP. The kernel counts some 2000 for the shortest datagram.
const QUEUE: usize = 4 << 20;
/// Where the program's progress is, on the host that it runs on.
pub const PROGRESS: &str = "/run/crowd";

/// How long so many TCP and so many UDP flows may take.
pub fn patience(count: usize) -> Duration {
    PATIENCE + EACH * 2 * u32::try_from(count).unwrap_or(u32::MAX)
}

/// The program: brings the flows up, and says so by a file `up`. They send now and then until there is a file `still`, which a file
/// `quiet` answers; when there is a file `go`, each sends and receives [`ROUNDS`] times, which a file `done` tells; it ends with a
/// file `end`.
pub fn run(from: IpAddr, to: IpAddr, count: u16) -> Result<()> {
    let barrier = Arc::new(Barrier::new(2 * usize::from(count) + 1));
    let to_come = Arc::new(AtomicUsize::new(2 * usize::from(count)));
    let still = Arc::new(AtomicBool::new(false));
    let (to, patience) = (SocketAddr::new(to, PORT), patience(count.into()));
    let mut flows = Vec::new();
    for port in FIRST..FIRST + count {
        for is_tcp in [true, false] {
            let (own, to_come, still) = (SocketAddr::new(from, port), Arc::clone(&to_come), Arc::clone(&still));
            let barrier = Arc::clone(&barrier);
            flows.push(std::thread::spawn(move || flow(is_tcp, (own, to), patience, (&to_come, &still), &barrier)));
        }
    }
    let tell = |what: &str| std::fs::write(format!("{PROGRESS}/{what}"), "");
    let awaited = |what: &str| {
        wait_for(patience.as_secs(), what, || Ok(std::fs::metadata(format!("{PROGRESS}/{what}"))?)).map(drop)
    };
    wait_for(2 * patience.as_secs(), "all flows", || {
        let missing = to_come.load(Ordering::SeqCst);
        ensure!(missing == 0, "{missing} are not up");
        Ok(())
    })?;
    tell("up")?;
    awaited("still")?;
    still.store(true, Ordering::SeqCst);
    for (tells, awaits) in [("quiet", "go"), ("done", "end")] {
        barrier.wait();
        tell(tells)?;
        awaited(awaits)?;
        barrier.wait();
    }
    flows.into_iter().try_for_each(|flow| flow.join().map_err(|_| anyhow!("a flow panicked")))
}

/// One flow. An error ends the program, for the others wait for this one.
fn flow(
    is_tcp: bool,
    (own, to): (SocketAddr, SocketAddr),
    patience: Duration,
    (to_come, still): (&AtomicUsize, &AtomicBool),
    barrier: &Barrier,
) {
    let check = |result: Result<()>| {
        if let Err(error) = result {
            eprintln!("{own} {}: {error:#}", if is_tcp { "TCP" } else { "UDP" });
            std::process::exit(1)
        }
    };
    let mut flow = None;
    check(Flow::open(is_tcp, own, to, patience).map(|open| flow = Some(open)));
    let Some(mut flow) = flow else { return };
    to_come.fetch_sub(1, Ordering::SeqCst);
    let mut sent = Instant::now();
    while !still.load(Ordering::SeqCst) {
        std::thread::sleep(KEEPALIVE / 60);
        if sent.elapsed() >= KEEPALIVE {
            check(flow.keep_alive());
            sent = Instant::now();
        }
    }
    check(flow.settle());
    barrier.wait();
    barrier.wait();
    std::thread::sleep(APART * u32::from(own.port() - FIRST));
    for _ in 0..ROUNDS {
        check(flow.exchange());
    }
    barrier.wait();
    barrier.wait();
}

/// A flow that is up.
enum Flow {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Flow {
    /// Brings it up, with one answer.
    fn open(is_tcp: bool, own: SocketAddr, to: SocketAddr, patience: Duration) -> Result<Self> {
        let again = AGAIN + LATER * u32::from(own.port() - FIRST);
        if is_tcp {
            let stream = wait_for(patience.as_secs(), "a connection", || {
                let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
                socket.set_tcp_nodelay(true)?;
                socket.bind(&own.into())?;
                socket.connect_timeout(&to.into(), again).context("connecting")?;
                Ok(TcpStream::from(socket))
            })?;
            stream.set_read_timeout(Some(patience))?;
            let mut flow = Flow::Tcp(stream);
            flow.exchange()?;
            return Ok(flow);
        }
        let socket = UdpSocket::bind(own)?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(again))?;
        let end = Instant::now() + patience;
        // The packet that asks for SAs may be dropped, and said to be.
        while socket.send(MARKER).and_then(|_| socket.recv(&mut [0; MARKER.len()])).is_err() {
            ensure!(Instant::now() < end, "no answer");
            std::thread::sleep(again / 4);
        }
        Ok(Flow::Udp(socket))
    }

    /// Sends once; of UDP, nobody minds whether the answer comes.
    fn keep_alive(&mut self) -> Result<()> {
        match self {
            Flow::Tcp(_) => self.exchange(),
            Flow::Udp(socket) => {
                let _ = socket.send(MARKER).and_then(|_| socket.recv(&mut [0; MARKER.len()]));
                Ok(())
            }
        }
    }

    /// From now on each datagram has one answer: what was only late has come.
    fn settle(&mut self) -> Result<()> {
        if let Flow::Udp(socket) = self {
            std::thread::sleep(AGAIN);
            socket.set_nonblocking(true)?;
            while socket.recv(&mut [0; MARKER.len()]).is_ok() {}
            socket.set_nonblocking(false)?;
            socket.set_read_timeout(Some(ANSWER))?;
        }
        Ok(())
    }

    /// Sends once and receives the answer.
    fn exchange(&mut self) -> Result<()> {
        let mut buffer = [0; MARKER.len()];
        match self {
            Flow::Tcp(stream) => {
                stream.write_all(MARKER)?;
                stream.read_exact(&mut buffer).context("no answer")
            }
            Flow::Udp(socket) => {
                socket.send(MARKER)?;
                socket.recv(&mut buffer).context("no answer").map(drop)
            }
        }
    }
}

/// The server's program, for ever: returns to everybody what they send to this address.
pub fn serve(own: IpAddr) -> Result<()> {
    let datagrams = UdpSocket::bind((own, PORT))?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&datagrams, QUEUE).context("making room for datagrams")?;
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
