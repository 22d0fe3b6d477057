//! A TCP connection that carries numbered blocks to the other host and back, and checks every byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::namespace::Namespace;

/// Begins every block, so that it can be looked for on the wire.
pub const TEXT: &[u8] = b"this line is nobody else's business";
/// Bytes of a block: several packets.
const BLOCK: usize = 4000;
/// Blocks are sent one after the other with this pause, which gives the wire a steady stream for the whole time.
const PAUSE: Duration = Duration::from_millis(2);

/// A running connection.
pub struct Traffic {
    blocks: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    client: JoinHandle<io::Result<()>>,
    server: JoinHandle<io::Result<()>>,
}

impl Traffic {
    /// Connects `client` to `server`, which sends everything back. The first packet starts the negotiation.
    pub fn start(client: &Namespace, server: &Namespace, address: SocketAddr, patience: Duration) -> Result<Self> {
        let listener = server.run(move || TcpListener::bind(address))?.context("cannot listen")?;
        let server = std::thread::spawn(move || echo(&listener, patience));
        let stream = client.run(move || TcpStream::connect_timeout(&address, patience))?;
        let stream = stream.with_context(|| format!("no TCP connection to {address} came about"))?;
        let (blocks, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let client = std::thread::spawn({
            let (blocks, stop) = (blocks.clone(), stop.clone());
            move || talk(stream, patience, &blocks, &stop)
        });
        Ok(Traffic { blocks, stop, client, server })
    }

    /// Blocks that came back whole.
    pub fn blocks(&self) -> u64 {
        self.blocks.load(Relaxed)
    }

    /// Whether the connection is still at work.
    pub fn is_running(&self) -> bool {
        !self.client.is_finished()
    }

    /// Closes the connection; the number of blocks that came back whole.
    pub fn finish(self) -> Result<u64> {
        self.stop.store(true, Relaxed);
        for thread in [self.client, self.server] {
            thread
                .join()
                .map_err(|_| anyhow!("a thread of the connection has panicked"))?
                .context("the connection broke")?;
        }
        Ok(self.blocks.load(Relaxed))
    }
}

fn echo(listener: &TcpListener, patience: Duration) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(patience))?;
    let mut buffer = [0; BLOCK];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => stream.write_all(buffer.get(..len).unwrap_or_default())?,
        }
    }
}

fn talk(mut stream: TcpStream, patience: Duration, blocks: &AtomicU64, stop: &AtomicBool) -> io::Result<()> {
    stream.set_read_timeout(Some(patience))?;
    let mut back = vec![0; BLOCK];
    while !stop.load(Relaxed) {
        let block = block(blocks.load(Relaxed));
        stream.write_all(&block)?;
        stream.read_exact(&mut back)?;
        if back != block {
            return Err(io::Error::other("a block came back altered"));
        }
        blocks.fetch_add(1, Relaxed);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn block(number: u64) -> Vec<u8> {
    let mut block = TEXT.to_vec();
    block.extend(number.to_be_bytes());
    block.resize(BLOCK, number as u8);
    block
}
