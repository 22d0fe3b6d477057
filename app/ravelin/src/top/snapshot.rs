//! What the daemon says at one moment, and what changed between two.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ravelin_control::{COMMAND_LINE, Client, ClientError, Message};

/// The event that lists an IKE SA.
const LISTED: &str = "list-sa";
/// What counts as a rekey.
const REKEYS: [&str; 3] = ["ike-rekey-init", "ike-rekey-resp", "child-rekey"];

/// One moment.
pub struct Snapshot {
    at: Instant,
    peers: BTreeMap<String, Peer>,
}

/// What there is with one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: String,
    /// IKE SAs that stand.
    pub ike_sas: u64,
    /// IKE SAs that are not there yet, or on their way out.
    pub half: u64,
    /// Child SAs.
    pub children: u64,
    /// Bytes received and sent on each Child SA, by its inbound SPI.
    bytes: BTreeMap<String, [u64; 2]>,
    /// Rekeys of IKE and Child SAs.
    pub rekeys: u64,
    /// What failed last: seconds ago, and what.
    pub failure: Option<(u64, String)>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name of the remote.
    pub name: String,
    /// What there is.
    pub peer: Peer,
    /// Bytes received and sent in a second.
    pub rates: [u64; 2],
}

/// Asks the daemon. The client has registered for nothing but this.
///
/// # Errors
/// When the daemon does not answer.
pub fn ask(client: &mut Client) -> Result<Snapshot, ClientError> {
    let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
    let mut remotes = Message::new();
    remotes.put_list("argv", ["ike", "netstat", "-r"]);
    let remotes = client.request(COMMAND_LINE, &remotes)?;
    for (_, row) in remotes.section("remotes").iter().flat_map(|remotes| remotes.sections()) {
        remote(&mut peers, row);
    }
    client.request_hearing("list-sas", &Message::new(), |_, event| {
        event.sections().for_each(|(name, sa)| ike_sa(peers.entry(name.to_owned()).or_default(), sa));
        Ok(())
    })?;
    let counters = client.request("get-counters", &Message::new().with("all", "yes"))?;
    for (name, row) in counters.section("counters").iter().flat_map(|counters| counters.sections()) {
        if let Some(peer) = peers.get_mut(name) {
            peer.rekeys = REKEYS.iter().map(|name| number(row, name)).sum();
        }
    }
    Ok(Snapshot { at: Instant::now(), peers })
}

/// Readies a connection for [`ask`].
///
/// # Errors
/// When nobody listens, or the daemon does not know the event.
pub fn connect(socket: &std::path::Path) -> Result<Client, ClientError> {
    let mut client = Client::connect(socket)?;
    client.register(LISTED)?;
    Ok(client)
}

fn remote(peers: &mut BTreeMap<String, Peer>, row: &Message) {
    let peer = peers.entry(row.text("name").unwrap_or_default().to_owned()).or_default();
    peer.address = row.text("endpoint").unwrap_or_default().to_owned();
    let failures = row.section("failures");
    let failures = failures.iter().flat_map(|failures| failures.sections());
    let last = failures.map(|(_, failure)| (number(failure, "age"), failure)).min_by_key(|(age, _)| *age);
    if let Some((age, failure)) = last {
        peer.failure = Some((age, failure.text("what").unwrap_or_default().to_owned()));
    }
}

fn ike_sa(peer: &mut Peer, sa: &Message) {
    match sa.text("state") {
        Some("ESTABLISHED") => peer.ike_sas += 1,
        _ => peer.half += 1,
    }
    if peer.address.is_empty() {
        peer.address = sa.text("remote-host").unwrap_or_default().to_owned();
    }
    for (_, child) in sa.section("child-sas").iter().flat_map(|children| children.sections()) {
        peer.children += 1;
        let bytes = ["bytes-in", "bytes-out"].map(|name| number(child, name));
        peer.bytes.insert(child.text("spi-in").unwrap_or_default().to_owned(), bytes);
    }
}

fn number(message: &Message, name: &str) -> u64 {
    message.text(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The lines, with rates against an earlier moment: busiest first, then by name.
pub fn rows(now: &Snapshot, before: Option<&Snapshot>) -> Vec<Row> {
    let seconds = before.map(|before| now.at.saturating_duration_since(before.at)).unwrap_or_default();
    let mut rows: Vec<Row> = now
        .peers
        .iter()
        .map(|(name, peer)| {
            let old = before.and_then(|before| before.peers.get(name));
            let rates = [0, 1].map(|way| rate(peer, old, way, seconds));
            Row { name: name.clone(), peer: peer.clone(), rates }
        })
        .collect();
    rows.sort_by(|a, b| (b.rates[0] + b.rates[1]).cmp(&(a.rates[0] + a.rates[1])).then_with(|| a.name.cmp(&b.name)));
    rows
}

/// What the SAs that are there now carried since then. An SA that went in between is not counted: its last bytes are not known.
fn rate(peer: &Peer, old: Option<&Peer>, way: usize, time: Duration) -> u64 {
    let (Some(old), true) = (old, time > Duration::ZERO) else { return 0 };
    let before = |spi: &String| old.bytes.get(spi).map_or(0, |bytes| bytes[way]);
    let bytes: u64 = peer.bytes.iter().map(|(spi, bytes)| bytes[way].saturating_sub(before(spi))).sum();
    (bytes as f64 / time.as_secs_f64()) as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A moment with two peers, some seconds after another.
    pub fn moment(start: Instant, seconds: u64, bytes: [u64; 2]) -> Snapshot {
        let mut peers = BTreeMap::new();
        let failure = Message::new().with("age", 7).with("what", "the peer does not answer");
        let mut failures = Message::new();
        failures.put_section("1", failure);
        let mut dead = Message::new().with("name", "branch").with("endpoint", "192.0.2.7");
        dead.put_section("failures", failures);
        remote(&mut peers, &dead);
        remote(&mut peers, &Message::new().with("name", "hq").with("endpoint", "192.0.2.1"));
        let child = Message::new().with("spi-in", "01020304").with("bytes-in", bytes[0]).with("bytes-out", bytes[1]);
        let mut children = Message::new();
        children.put_section("net-1", child);
        let mut sa = Message::new().with("state", "ESTABLISHED").with("remote-host", "192.0.2.1");
        sa.put_section("child-sas", children);
        ike_sa(peers.get_mut("hq").unwrap(), &sa);
        peers.get_mut("hq").unwrap().rekeys = 3;
        Snapshot { at: start + Duration::from_secs(seconds), peers }
    }

    #[test]
    fn rates_are_what_came_between() {
        let start = Instant::now();
        let (before, now) = (moment(start, 0, [1000, 50]), moment(start, 2, [5000, 50]));
        let rows = rows(&now, Some(&before));
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["hq", "branch"]);
        assert_eq!(rows[0].rates, [2000, 0]);
        assert_eq!((rows[0].peer.ike_sas, rows[0].peer.children, rows[0].peer.rekeys), (1, 1, 3));
        assert_eq!(rows[1].peer.failure, Some((7, "the peer does not answer".into())));
        // Without an earlier moment there is no rate, nor where a counter began anew.
        assert_eq!(super::rows(&now, None)[0].name, "branch");
        assert_eq!(super::rows(&before, Some(&now))[1].rates, [0, 0]);
    }
}
