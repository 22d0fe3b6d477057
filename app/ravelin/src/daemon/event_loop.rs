//! The only place that waits, and the only one that reads the clock.
//!
//! 1. take the control socket (a second daemon ends here), read `ike_rc`, undo what a killed daemon left;
//! 2. start the data plane and the core, say `ready`;
//! 3. wait for a datagram, a plane event, a client, a signal or a deadline, and hand it on, until a signal;
//! 4. delete the SAs at the peers, undo every change to the system, end.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ravelin_control::{ClientId, Message, Server};
use ravelin_crypto::CryptoProvider;
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_ike::Datagram;
use ravelin_manage::AppId;
use ravelin_store::FileStore;
use ravelin_types::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clerk::Clerk;
use super::clerk::fetch::Library;
use super::core::{Core, Said};
use super::crash_secret;
use super::crypto::ike_provider;
#[cfg(feature = "tun")]
use super::crypto::packet_provider;
use super::host::addresses::Addresses;
use super::host::inside::{Host, Wanted};
use super::host::resolver::{Resolver, Way};
use super::keyed::keying_socket::{KeyingSocket, Received};
use super::keyed::psk::{Accounts, Journal, PidFile};
use super::keyed::statics::Statics;
use super::plane::{self, Choice, Running};
use super::reload::Files;
use super::tap::Tap;
use super::tap::key_log::KeyLog;
use super::vici;

/// How long the peers have to answer our deletes before the daemon ends anyway.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// How long RADIUS servers have for the last records before the daemon ends anyway: a server's turn of repetitions.
const ACCOUNT_PATIENCE: Duration = Duration::from_secs(15);
/// Inputs taken from one source before the others get their turn: what costs most, packets that ask for SAs of the kernel's, must
/// not keep the answers of peers waiting until they are sent again.
const BURST: usize = 32;

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The control socket.
    pub socket: PathBuf,
    /// The socket of external keying programs, if there shall be one.
    pub keying_socket: Option<PathBuf>,
    /// What to start with.
    pub files: Files,
    /// Accounts of the PSK manager.
    pub accounts: Option<Accounts>,
    /// Where the journal is.
    pub state_dir: PathBuf,
    /// How hard the puzzles of strangers may become under load; `None`: there are none.
    pub puzzles: Option<u8>,
    /// The data plane.
    pub plane: plane::Settings,
    /// The device that gets internal addresses; `None`: that of the data plane.
    pub address_device: Option<String>,
    /// Who is told of the DNS servers that peers name.
    pub resolver: Option<Way>,
    /// Where keys are written down.
    pub key_log: Option<PathBuf>,
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// When it cannot start, or cannot undo all its changes; the text says what to do.
pub fn run(settings: &Settings) -> Result<()> {
    match settings.plane.choice {
        #[cfg(feature = "kernel")]
        Choice::Kernel => {
            if settings.plane.tcp_port.is_some() {
                anyhow::bail!("--tcp-port: the data plane `kernel` carries no ESP in TCP; use --data-plane tun");
            }
            let found = plane::kernel::capabilities()
                .context("the kernel's IPsec cannot be used; with --data-plane tun ours takes its place")?;
            kernel(settings, found)
        }
        #[cfg(feature = "tun")]
        Choice::Tun => tun(settings),
        #[cfg(all(feature = "kernel", feature = "tun"))]
        Choice::Auto => match plane::kernel::capabilities() {
            Ok(_) if settings.plane.tcp_port.is_some() => {
                tracing::info!("ESP in TCP (--tcp-port) takes the data plane in user space");
                tun(settings)
            }
            Ok(found) => kernel(settings, found),
            Err(why) => {
                tracing::warn!("the kernel's IPsec cannot be used: {why:#}; ours in user space takes its place");
                tun(settings)
            }
        },
    }
}

#[cfg(feature = "kernel")]
fn kernel(settings: &Settings, found: ravelin_xfrm::Capabilities) -> Result<()> {
    run_with(settings, |_, store| Ok((plane::kernel::start(&settings.plane, found, store)?, plane::kernel::NAME)))
}

#[cfg(feature = "tun")]
fn tun(settings: &Settings) -> Result<()> {
    run_with(settings, |ike, store| {
        let packets = packet_provider(ike);
        Ok((plane::tun::start(&settings.plane, packets, store)?, packets.name))
    })
}

/// Runs the daemon with the data plane that `start` starts, and with the name of what protects packets there.
fn run_with<P: Running>(
    settings: &Settings,
    start: impl FnOnce(CryptoProvider, &mut FileStore) -> Result<(P, &'static str)>,
) -> Result<()> {
    keep_memory_private().context("cannot keep keys out of core dumps")?;
    raise_file_limit();
    let clock = Clock::new();
    let signals = Signals::register().context("cannot listen for signals")?;
    let server = Server::bind(&settings.socket)?.offering(vici::EVENTS);
    let keying = match &settings.keying_socket {
        Some(path) => Some(KeyingSocket::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?),
        None => None,
    };
    if settings.files.test_bypass {
        tracing::warn!("whatever no policy protects or drops passes in the clear: --test-bypass-policies is for tests");
    }
    let key_log = match &settings.key_log {
        Some(path) => {
            tracing::warn!("keys are written to {}: whoever reads them reads what SAs protect", path.display());
            Some(KeyLog::open(path).with_context(|| format!("cannot write keys to {}", path.display()))?)
        }
        None => None,
    };
    let loaded = settings.files.load()?;
    for note in &loaded.notes {
        tracing::warn!("{note}");
    }
    let mut model = loaded.model;
    for advice in model.advice() {
        tracing::warn!("{advice}");
    }
    let accounts = settings.accounts.as_ref();
    let statics = match accounts.filter(|accounts| !accounts.common.clear_only) {
        Some(accounts) => accounts.add_to(&mut model)?,
        None => Statics::default(),
    };
    let pid = accounts.and_then(|accounts| accounts.common.pid.as_deref()).map(PidFile::write).transpose()?;
    let journal = accounts.and_then(|accounts| accounts.common.journal.as_deref());
    let journal = journal.map(Journal::open).transpose()?;
    let mut store = open_store(&settings.state_dir)?;
    let crash_secret = crash_secret::load(&settings.state_dir, &mut SystemRandom);
    let ike = ike_provider();
    let library = Arc::new(Library::default());
    let clerk = Clerk::start(ike, library.clone()).context("cannot start the threads that check certificates")?;
    let (plane, packets) = start(ike, &mut store)?;
    let mut inside = plane.inside();
    if let Some(device) = &settings.address_device {
        inside.device.clone_from(device);
    }
    let mut core = match Core::new(model, plane, ike, Box::new(SystemRandom), clock.now()) {
        Ok(core) => core.with_packets_by(packets).with_library(library),
        Err((plane, why)) => {
            plane.stop(&mut store)?;
            anyhow::bail!(why);
        }
    };
    match crash_secret {
        Ok(secret) => core = core.with_crash_secret(secret),
        Err(why) => tracing::warn!("no peer gets a token that would show a crash of this host (RFC 6290): {why:#}"),
    }
    if let Some(bits) = settings.puzzles {
        core = core.with_puzzles(bits);
    }
    core.read_along(key_log.map(Tap::writing).unwrap_or_default());
    core.journal = journal;
    core.started_with(settings.files.clone(), loaded.commands, clock.now());
    if accounts.is_some_and(|accounts| accounts.common.clear_only) {
        core.into_plane().stop(&mut store)?;
        tracing::info!("CLEAR_ONLY: what an earlier manager left is undone");
        return Ok(());
    }
    if let Err(why) = core.serve_statics(statics) {
        core.into_plane().stop(&mut store)?;
        anyhow::bail!(why);
    }
    let host = match Host::start(inside, settings.resolver.clone().map(Resolver::new), store) {
        Ok(host) => host,
        Err((error, mut store)) => {
            core.into_plane().stop(&mut store)?;
            return Err(error);
        }
    };
    core.started_at(vici::time_of_day());
    core.plane().settle();
    tracing::info!(socket = %settings.socket.display(), "ready");
    notify("READY=1");
    let addresses = Addresses::watch(clock.now());
    let (mut core, mut host) = EventLoop { clock, signals, server, keying, clerk, addresses, core, host }.run();
    core.updown.finish();
    host.set(&Wanted::default());
    core.into_plane().stop(&mut host.store).context("not everything that was changed could be undone")?;
    drop(pid);
    tracing::info!("stopped");
    Ok(())
}

/// Keys must reach neither a core dump nor another process of the same user. A limit of 0 alone does not hold where the
/// system hands core dumps to a program.
fn keep_memory_private() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Clients of the control socket take a descriptor each; what a shell allows is less than there may be of them.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!("the number of open files stays limited to {:?}: {error}", limit.current);
    }
}

fn open_store(directory: &Path) -> Result<FileStore> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(FileStore::open(directory.join("journal"))?)
}

struct EventLoop<P> {
    clock: Clock,
    signals: Signals,
    server: Server,
    keying: Option<KeyingSocket>,
    core: Core<P>,
    clerk: Clerk,
    addresses: Addresses,
    host: Host,
}

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Signal,
    Ike,
    Plane,
    Clerk,
    Addresses,
    Listener,
    Client(ClientId),
    /// The client hung up while its command was under way.
    Gone(ClientId),
    KeyingListener,
    /// A keying program has sent something, or can be sent something.
    Keying(AppId, Ready),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Read,
    Write,
}

impl<P: Running> EventLoop<P> {
    fn run(mut self) -> (Core<P>, Host) {
        let mut stop_at: Option<Instant> = None;
        loop {
            let deadline = [self.core.deadline(), self.addresses.deadline(), stop_at].into_iter().flatten().min();
            for source in self.wait(deadline) {
                match source {
                    Source::Signal if self.signals.take() && stop_at.is_none() => {
                        tracing::info!("stopping: telling the peers");
                        notify("STOPPING=1");
                        let now = self.clock.now();
                        stop_at = Some(now + STOP_PATIENCE);
                        self.core.begin_stop(now);
                    }
                    Source::Signal => {}
                    Source::Ike => self.ike(),
                    Source::Plane => self.plane(),
                    Source::Clerk => self.answers(),
                    Source::Addresses => self.addresses.noticed(self.clock.now()),
                    Source::Listener => self.server.accept(),
                    Source::Client(client) => self.client(client),
                    Source::Gone(client) => {
                        self.server.disconnect(client);
                        self.core.hung_up(client);
                    }
                    Source::KeyingListener => self.keying.iter_mut().for_each(KeyingSocket::accept),
                    Source::Keying(app, Ready::Read) => self.keying_message(app),
                    Source::Keying(app, Ready::Write) => self.keying_events(app),
                }
            }
            let now = self.clock.now();
            if let Some(addresses) = self.addresses.due(now) {
                self.core.addresses(addresses, now);
            }
            if self.core.deadline().is_some_and(|at| at <= now) {
                self.core.timer(now);
            }
            self.core.questions().into_iter().for_each(|asked| self.clerk.ask(asked));
            self.core.records().into_iter().for_each(|record| self.clerk.record(record));
            if let Some(authorizers) = self.core.authorizers() {
                self.clerk.listen(authorizers);
            }
            if let Some(wanted) = self.core.inside() {
                self.host.set(&wanted);
            }
            self.answer();
            if stop_at.is_some_and(|at| at <= now || self.core.is_idle()) {
                self.core.last_records(now).into_iter().for_each(|record| self.clerk.record(record));
                self.clerk.settle(ACCOUNT_PATIENCE);
                return (self.core, self.host);
            }
        }
    }

    /// Waits until something is ready or the deadline has come.
    fn wait(&mut self, deadline: Option<Instant>) -> Vec<Source> {
        let timeout = deadline.map(|at| timespec(at.since(self.clock.now())));
        let programs = self.keying.iter().flat_map(KeyingSocket::clients);
        let to_tell: BTreeSet<AppId> = programs.filter(|app| self.core.has_management_event(*app)).collect();
        let plane = self.core.plane();
        let mut sources = vec![Source::Signal, Source::Ike, Source::Plane, Source::Clerk];
        let mut fds: Vec<PollFd<'_>> = [self.signals.fd(), plane.ike_fd(), plane.event_fd(), self.clerk.fd()]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .into();
        if let Some(fd) = self.addresses.fd() {
            sources.push(Source::Addresses);
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        for interest in self.server.interests() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, interest.read);
            flags.set(PollFlags::OUT, interest.write);
            sources.push(interest.client.map_or(Source::Listener, Source::Client));
            // A client that waits for its answer is not read from, but poll reports when it hangs up.
            fds.push(PollFd::from_borrowed_fd(interest.fd, flags));
        }
        for interest in self.keying.iter().flat_map(|keying| keying.interests(&to_tell)) {
            let (ready, flags) = match interest.write {
                true => (Ready::Write, PollFlags::OUT),
                false => (Ready::Read, PollFlags::IN),
            };
            sources.push(interest.client.map_or(Source::KeyingListener, |app| Source::Keying(app, ready)));
            fds.push(PollFd::from_borrowed_fd(interest.fd, flags));
        }
        if let Err(error) = poll(&mut fds, timeout.as_ref())
            && error != rustix::io::Errno::INTR
        {
            tracing::error!("poll failed: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
        let ready = sources.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        ready
            .map(|(source, fd)| match source {
                Source::Client(client) if !fd.revents().intersects(PollFlags::IN | PollFlags::OUT) => {
                    Source::Gone(client)
                }
                source => source,
            })
            .collect()
    }

    fn ike(&mut self) {
        for _ in 0..BURST {
            let Some(datagram) = self.core.plane().poll_ike() else { return };
            let datagram = Datagram {
                local: datagram.local,
                remote: datagram.remote,
                carrier: datagram.carrier,
                data: &datagram.data,
            };
            self.core.datagram(datagram, self.clock.now());
        }
    }

    fn plane(&mut self) {
        self.core.plane_events(self.clock.now(), BURST);
        for _ in 0..BURST {
            let Some(way) = self.core.plane().poll_closed() else { break };
            self.core.stream_closed(way, self.clock.now());
        }
        for _ in 0..BURST {
            let Some(spi) = self.core.plane().poll_alive() else { return };
            self.core.alive(spi, self.clock.now());
        }
    }

    /// Hands the answers of the clerk to whoever asked, and answers what others want of sessions.
    fn answers(&mut self) {
        for (op, answer) in self.clerk.answers() {
            self.core.answered(op, answer, self.clock.now());
        }
        for demand in self.clerk.demands() {
            let verdict = self.core.demand(&demand, self.clock.now());
            self.clerk.judge(demand, verdict);
        }
    }

    /// Carries out one message of a keying program: the others get their turn between two of them.
    fn keying_message(&mut self, app: AppId) {
        let Some(keying) = &mut self.keying else { return };
        match keying.receive(app) {
            Received::Message(message) => {
                if let Some(reply) = self.core.manage(app, message.expose(), self.clock.now()) {
                    keying.send(app, reply);
                }
            }
            Received::Nothing => {}
            Received::Gone => {
                keying.disconnect(app);
                self.core.management_hung_up(app);
            }
        }
    }

    /// Sends a keying program what waits for it, as far as it takes it.
    fn keying_events(&mut self, app: AppId) {
        let Some(keying) = &mut self.keying else { return };
        while keying.flush(app)
            && let Some(event) = self.core.management_event(app)
        {
            keying.send(app, event);
        }
    }

    fn client(&mut self, client: ClientId) {
        let request = self.server.ready(client);
        self.serve(request);
    }

    /// Hands a request to the core; commands it does not know are answered here, and the client's next one taken up.
    fn serve(&mut self, mut request: Option<ravelin_control::Request>) {
        while let Some(known) = request {
            self.core.awaited(self.server.awaited());
            self.core.events_lost(self.server.lost());
            if self.core.request(&known, self.clock.now()) {
                return;
            }
            self.server.unknown(known.client);
            request = self.server.next_request(known.client);
        }
    }

    /// Tells clients what there is to tell; each answer may make room for the client's next command, which may be
    /// answered at once.
    fn answer(&mut self) {
        for _ in 0..BURST {
            self.core.awaited(self.server.awaited());
            self.core.events_lost(self.server.lost());
            let said = self.core.said();
            if said.is_empty() {
                return;
            }
            for said in said {
                let client = match said {
                    Said::Event(name, message) => {
                        self.server.event(name, &message);
                        continue;
                    }
                    Said::Progress(client, name, message) => {
                        self.server.progress(client, name, &message);
                        continue;
                    }
                    Said::Answer(client, message) => {
                        self.server.reply(client, &message);
                        client
                    }
                    Said::Stream(client, event, messages) => {
                        self.server.stream(client, event, messages, Message::new());
                        client
                    }
                };
                let next = self.server.next_request(client);
                self.serve(next);
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// Monotonic time since the daemon started.
struct Clock(std::time::Instant);

impl Clock {
    fn new() -> Self {
        Clock(std::time::Instant::now())
    }

    fn now(&self) -> Instant {
        Instant::from_duration(self.0.elapsed())
    }
}

/// SIGTERM, SIGINT and SIGHUP (the terminal went away) as bytes on a socket.
struct Signals(UnixStream);

impl Signals {
    fn register() -> std::io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Signals(reader))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Whether a signal came since the last call.
    fn take(&mut self) -> bool {
        let mut bytes = [0; 16];
        matches!(self.0.read(&mut bytes), Ok(len) if len > 0)
    }
}

/// Tells the service manager, if there is one (sd_notify(3)).
fn notify(state: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!("cannot notify the service manager: {error}");
    }
}
