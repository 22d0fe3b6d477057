//! An example of a port on Ravelin's link: a host that uses nothing of the system's IP stack. All take the same commands.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::ravelin::Ravelin;
use super::{Child, Ike, Node, Sa, View, append, plain_spi};
use crate::plan::{Direction, SECRET};
use crate::process::{Namespace, sh, wait_for};
use crate::traffic::{BYTES, MARKER, PORT};

/// How long an answer may take. Connections may wait for a negotiation.
const PATIENCE: Duration = Duration::from_secs(40);

/// What the system knows of the link: no address, and no answer to anybody who asks for one.
const HANDS_OFF: &str = "ip addr flush dev lo; ip addr flush dev eth0; ip link set eth0 arp off
echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6";

/// A virtual link hands on packets whose checksums the system never computed. On a real one they are there.
const CHECKSUMS: &str = "ethtool -K r0 tx off >/dev/null";

/// The stack that carries the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// smoltcp, in Rust: `examples/smoltcp`.
    Smoltcp,
    /// lwIP, in C: `examples/lwip`, under valgrind.
    Lwip,
}

impl Stack {
    /// The example as a host with Ravelin's addresses of the plan.
    fn command(self, host: &Namespace, program: &Path, rc: &Path) -> Command {
        let (mac, port) = ("02:00:00:00:01:01", PORT.to_string());
        match self {
            Stack::Smoltcp => {
                let mut command = host.command(program);
                command.args(["--link", "eth0", "--mac", mac, "--echo", &port]);
                command.args([
                    "--address",
                    "192.0.2.1/24",
                    "--address",
                    "10.1.0.1/32",
                    "--address",
                    "2001:db8:f::1/64",
                ]);
                command.args(["--gateway", "192.0.2.2", "--gateway", "2001:db8:f::2"]);
                command.arg("--rc").arg(rc);
                command
            }
            Stack::Lwip => {
                let mut command = host.command(Path::new("valgrind"));
                command.args(["--quiet", "--error-exitcode=9", "--num-callers=40"]).arg(program);
                command.args(["eth0", mac, "192.0.2.1", "192.0.2.2", "10.1.0.1", "2001:db8:f::1", "2001:db8:1::1"]);
                command.arg(&port).arg(rc);
                command
            }
        }
    }
}

/// One host of an example's.
pub struct Example {
    stack: Stack,
    host: Namespace,
    program: PathBuf,
    folder: PathBuf,
    running: Option<Running>,
}

struct Running {
    process: Process,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Example {
    /// Prepares the example `program` of `stack` on `host` with `rc` as its `ike_rc`; logs go to `folder`.
    pub fn new(stack: Stack, host: Namespace, program: &Path, folder: &Path, rc: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("ike_rc"), rc)?;
        let secret = Ravelin::secret(folder);
        fs::write(&secret, SECRET)?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        Ok(Self { stack, host, program: program.to_owned(), folder: folder.to_owned(), running: None })
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        append(&self.folder.join("log"), &format!("# {line}\n"))?;
        let running = self.running.as_mut().context("the example is not running")?;
        writeln!(running.input, "{line}").context("the example has ended")
    }

    /// The next answer.
    fn hear(&mut self) -> Result<String> {
        let running = self.running.as_mut().context("the example is not running")?;
        let answer = running.answers.recv_timeout(PATIENCE).context("no answer from the example")?;
        append(&self.folder.join("log"), &format!("{answer}\n"))?;
        Ok(answer)
    }
}

impl Node for Example {
    fn start(&mut self) -> Result<()> {
        self.host.sh(HANDS_OFF)?;
        sh(CHECKSUMS)?;
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = self.stack.command(&self.host, &self.program, &self.folder.join("ike_rc"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let input = process.stdin.take().context("its input")?;
        let output = process.stdout.take().context("its output")?;
        let (answer, answers) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| answer.send(line))
        });
        self.running = Some(Running { process, input, answers });
        let ready = self.hear()?;
        ensure!(ready == "ready", "the example says {ready}");
        Ok(())
    }

    fn initiate(&mut self) -> Result<()> {
        self.tell("initiate net")?;
        let answer = self.hear()?;
        ensure!(answer == "initiating net", "{answer}");
        wait_for(30, "the Child SA", || {
            ensure!(!self.view()?.children.is_empty(), "there is none");
            Ok(())
        })
    }

    fn rekey(&mut self, _: Sa) -> Result<()> {
        bail!("the example's shell has no rekeying; its peer rekeys")
    }

    fn delete(&mut self, _: Sa) -> Result<()> {
        bail!("the example's shell deletes by ending; its peer deletes")
    }

    fn send(&mut self, _: &Path, direction: Direction) -> Result<()> {
        let to = match direction.to.contains(':') {
            true => format!("[{}]:{PORT}", direction.to),
            false => format!("{}:{PORT}", direction.to),
        };
        self.tell(&format!("send {} {to} {BYTES} {}", direction.from, String::from_utf8_lossy(MARKER)))?;
        let answer = self.hear()?;
        ensure!(answer == format!("sent {to} {BYTES}"), "{answer}");
        Ok(())
    }

    fn view(&mut self) -> Result<View> {
        self.tell("list")?;
        let mut view = View::default();
        loop {
            let line = self.hear()?;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["end"] => return Ok(view),
                ["ike", initiator, responder, "ESTABLISHED"] => {
                    view.ike.push(Ike { spis: Some((plain_spi(initiator), plain_spi(responder))), ..Ike::default() });
                }
                ["child", spi_in, spi_out, "INSTALLED" | "REKEYING", inbound, outbound] => view.children.push(Child {
                    spi_in: plain_spi(spi_in),
                    spi_out: plain_spi(spi_out),
                    packets: (inbound.parse()?, outbound.parse()?),
                    ..Child::default()
                }),
                ["ike" | "child", ..] => {}
                _ => bail!("the example lists `{line}`"),
            }
        }
    }

    fn kill(&mut self) -> Result<()> {
        let mut running = self.running.take().context("the example is not running")?;
        running.process.kill()?;
        running.process.wait()?;
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        if self.running.is_none() {
            return Ok(());
        }
        self.tell("quit")?;
        let status = wait_for(10, "the example to end", || {
            let running = self.running.as_mut().context("the example is not running")?;
            running.process.try_wait()?.context("it runs on")
        })?;
        self.running = None;
        ensure!(status.success(), "the example ended with {status}");
        Ok(())
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap_or_default()).into_owned()
    }

    fn keep_evidence(&mut self) {
        // Its log has everything it does.
        let _ = self.view();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
