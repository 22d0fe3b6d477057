//! The one who runs the host: a command a line on standard input, answers on standard output.
//!
//! | command | answer |
//! |---|---|
//! | `initiate POLICY` | `initiating POLICY` |
//! | `send FROM ADDRESS:PORT BYTES TEXT` | `sent ADDRESS:PORT BYTES` when all came back, or `failed ADDRESS:PORT WHY` |
//! | `list` | a line for each SA, then `end` |
//! | `quit`, or the end of the input | deletes the SAs and ends |

use std::io::{BufRead, Write, stdin, stdout};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use anyhow::{Context, Result, anyhow, ensure};
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::Device;
use smoltcp::time::Instant;

use crate::device::Protected;
use crate::keys::Keys;
use crate::traffic::{Sending, Traffic};

/// Lines in, answers out.
pub struct Shell {
    lines: Receiver<String>,
}

/// What a command may reach.
pub struct Host<'a, 's, D> {
    pub interface: &'a mut Interface,
    pub sockets: &'a mut SocketSet<'s>,
    pub keys: &'a mut Keys,
    pub traffic: &'a mut Traffic,
    pub device: &'a mut Protected<D>,
    pub now: Instant,
}

impl Shell {
    /// Reads standard input from now on.
    pub fn new() -> Self {
        let (line, lines) = channel();
        // It ends with the input, or with the program.
        std::thread::spawn(move || stdin().lock().lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Shell { lines }
    }

    /// Prints a line at once.
    pub fn say(&mut self, text: &str) {
        let mut out = stdout().lock();
        // Nobody listens any more: the input will end as well.
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Carries out the commands that have come. True when the host shall stop.
    pub fn poll<D: Device>(&mut self, host: &mut Host<'_, '_, D>) -> bool {
        loop {
            let line = match self.lines.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            let outcome = match words[..] {
                [] => Ok(()),
                ["quit"] => return true,
                ["list"] => {
                    self.list(host);
                    Ok(())
                }
                ["initiate", policy] => {
                    host.keys.initiate(policy, host.now).map(|()| self.say(&format!("initiating {policy}")))
                }
                ["send", from, to, bytes, text] => send(host, from, to, bytes, text),
                _ => Err(anyhow!("expected initiate POLICY, send FROM ADDRESS:PORT BYTES TEXT, list or quit")),
            };
            if let Err(error) = outcome {
                self.say(&format!("error {error:#}"));
            }
        }
    }

    fn list<D: Device>(&mut self, host: &mut Host<'_, '_, D>) {
        let sas = host.device.engine().list();
        let packets = |spi| sas.iter().find(|sa| sa.params.spi == spi).map_or(0, |sa| sa.counters.packets);
        for ike in host.keys.ike_sas() {
            self.say(&format!("ike {} {} {}", ike.spis.0, ike.spis.1, ike.state));
            for child in ike.children {
                let (inbound, outbound) = (packets(child.inbound), packets(child.outbound));
                let (spi_in, spi_out, state) = (child.inbound, child.outbound, child.state);
                self.say(&format!("child {spi_in} {spi_out} {state} {inbound} {outbound}"));
            }
        }
        self.say("end");
    }
}

fn send<D: Device>(host: &mut Host<'_, '_, D>, from: &str, to: &str, bytes: &str, text: &str) -> Result<()> {
    let from: IpAddr = from.parse().with_context(|| format!("`{from}` is no address"))?;
    let to: SocketAddr = to.parse().with_context(|| format!("`{to}` is no ADDRESS:PORT"))?;
    let bytes: usize = bytes.parse().with_context(|| format!("`{bytes}` is no number of bytes"))?;
    ensure!(bytes > 0, "there is nothing to send");
    ensure!(host.interface.has_ip_addr(from), "{from} is none of this host's addresses");
    host.traffic.send(host.interface, host.sockets, from, Sending::new(to, bytes, text))
}
