//! The words in which `expect` is written: each is one row of [`WORDS`] and one function below it.

mod kernel;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::capture::Capture;
use crate::crowd;
use crate::lab::Host;
use crate::node::ravelin::SOCKET;
use crate::node::{Child, Ike, Node, Sa, View};
use crate::plan::{Between, Direction, Plan};
use crate::process::{Daemon, run as run_command, wait_for};
use crate::traffic::{self, Pinging};

/// What a kernel says of its SAs and policies.
pub const STATES: &str = "ip -s xfrm state; ip xfrm policy; cat /proc/net/xfrm_stat";
/// How long two sides may take to agree about their SAs.
const SETTLE: u64 = 30;
/// How long a killed daemon is away.
const ABSENCE: Duration = Duration::from_secs(2);
/// Pings, fifty a second, that may be lost while an address changes: the system has none for a moment, and the two sides look,
/// tell and ask.
const MOVE_LOSS: usize = 75;
/// How long a line may take to appear in a log.
const LOG: u64 = 15;

/// Everything a step can reach.
pub struct Scene<'a> {
    /// Addresses.
    pub plan: Plan,
    /// The daemon under test.
    pub ravelin: Box<dyn Node + 'a>,
    /// Its host.
    pub ravelin_host: Host<'a>,
    /// The peer.
    pub swan: Box<dyn Node + 'a>,
    /// Its host.
    pub swan_host: Host<'a>,
    /// Where logs go.
    pub folder: &'a Path,
    /// The program that sends and receives payload.
    pub helper: &'a Path,
    /// Ravelin's end of a GRE tunnel.
    pub gre: Option<Daemon>,
    /// The recording of the wire, until a step or the end stops it.
    pub capture: Option<Capture>,
    /// How much Ravelin and the peer had said when the last negotiation was begun.
    pub heard: (usize, usize),
}

struct Word {
    /// The step's name, what follows it, and what it does.
    usage: &'static str,
    arguments: RangeInclusive<usize>,
    run: fn(&mut Scene<'_>, &[String]) -> Result<()>,
}

impl Word {
    fn name(&self) -> &'static str {
        self.usage.split(' ').next().unwrap_or_default()
    }
}

const fn word(
    usage: &'static str,
    arguments: RangeInclusive<usize>,
    run: fn(&mut Scene<'_>, &[String]) -> Result<()>,
) -> Word {
    Word { usage, arguments, run }
}

/// SIDE is ravelin or swan, SA is child or ike, BETWEEN is host4, host6, net4 or net6, or with an internal address at one
/// end ravelin-vip4, ravelin-vip6, swan-vip4 or swan-vip6.
const WORDS: &[Word] = &[
    word("up SIDE: that side negotiates; both list the same SAs", 1..=1, up),
    word("ondemand SIDE BETWEEN [tcp]: that side's first packet negotiates", 2..=3, ondemand),
    word("refuse SIDE: that side negotiates in vain", 1..=1, refuse),
    word("suite THEIRS OURS KEY=VALUE...: an IKE SA with these algorithms, started by either side", 2..=9, suite),
    word("ike KEY=VALUE...: the peer lists this of the IKE SA; `-` is absent", 1..=9, ike),
    word("child KEY=VALUE...: the peer lists this of the Child SA", 1..=12, child),
    word("swanctl ARGUMENTS TEXT...: Debian's swanctl, commanding Ravelin, succeeds and says this", 1..=9, swanctl),
    word("ravelin LINE TEXT...: Ravelin's own command line, which says this", 1..=9, ravelin),
    word("peer ARGUMENTS TEXT...: the peer's own swanctl says this", 2..=9, peer),
    word("sh SIDE LINE: a shell line on that side's host succeeds", 2..=2, sh),
    word("narrow MTU: packets of at most so many octets on the wire, and no IP fragments; 1500 ends it", 1..=1, narrow),
    word("kernel TEXT...: the peer's kernel lists this of its states", 1..=9, kernel::kernel),
    word("own TEXT...: Ravelin's kernel lists this of its states and policies", 1..=9, kernel::own),
    word("sound [NAME...]: Ravelin's kernel counted no error but these", 0..=9, kernel::sound),
    word("traffic BETWEEN [tcp]: payload crosses both ways", 1..=2, traffic),
    word("connect SIDE BETWEEN: a TCP connection from that side carries the pattern both ways", 2..=2, connect),
    word("flows COUNT BETWEEN: so many TCP connections from Ravelin's side, each on SAs of its own", 2..=2, flows),
    word(
        "crowd COUNT BETWEEN: so many TCP and UDP flows at a time from Ravelin's side, each on SAs of its own",
        2..=2,
        crowd::step,
    ),
    word("large BETWEEN: packets that fit into no link cross both ways, in fragments", 1..=1, large),
    word("rekey SA SIDE BETWEEN: that side rekeys, under traffic, without loss", 3..=3, rekey),
    word("renewed SA BETWEEN: it is rekeyed in time by itself, under traffic, without loss", 2..=2, renewed),
    word(
        "move SIDE ADDRESS BETWEEN: the address of that side becomes another, under traffic; the IKE SA goes on there",
        3..=3,
        move_to,
    ),
    word("delete SA SIDE: it goes on both sides", 2..=2, delete),
    word("kill SIDE: as a power cut would", 1..=1, kill),
    word("start SIDE: again", 1..=1, start),
    word(
        "restart BETWEEN: Ravelin is killed, and its SAs carry traffic without loss until it is back with new ones",
        1..=1,
        restart,
    ),
    word("dead SIDE SECONDS: that side finds the other dead", 2..=2, dead),
    word("log SIDE TEXT...: that side said so since the last `up` or `refuse`", 2..=9, log),
    word(
        "gre up|down: a GRE tunnel between the hosts: device gre1, 10.3.0.1 at Ravelin's end and 10.3.0.2 at the peer's",
        1..=1,
        gre,
    ),
    word(
        "wire esp|udp|ah|gre [readable]: protected in this form only, unreadable or not; ends the recording",
        1..=2,
        wire,
    ),
    word("xfrm COMMAND...: `ip xfrm COMMAND` in the peer's kernel, keyed by hand", 2..=60, kernel::xfrm),
    word(
        "cross BETWEEN esp|ah: payload crosses both ways, under keys that nobody negotiated; ends the recording",
        2..=2,
        kernel::cross,
    ),
    word("enforce BETWEEN: the peer's clear packets do not get in; after `wire` only", 1..=1, enforce),
];

/// Fails when a line is no step.
pub fn check(words: &[String]) -> Result<()> {
    find(words).map(drop)
}

/// Does one step.
pub fn run(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    (find(words)?.run)(scene, &words[1..])
}

fn find(words: &[String]) -> Result<&'static Word> {
    let name = words.first().map_or("", String::as_str);
    let Some(word) = WORDS.iter().find(|word| word.name() == name) else {
        let known: Vec<_> = WORDS.iter().map(|word| word.usage).collect();
        bail!("`{name}` is no step; there are:\n  {}", known.join("\n  "));
    };
    ensure!(word.arguments.contains(&(words.len() - 1)), "usage: {}", word.usage);
    Ok(word)
}

impl<'a> Scene<'a> {
    fn side(&mut self, name: &str) -> Result<&mut (dyn Node + 'a)> {
        match name {
            "ravelin" => Ok(&mut *self.ravelin),
            "swan" => Ok(&mut *self.swan),
            other => bail!("`{other}`: expected ravelin or swan"),
        }
    }

    /// What both list when they are of one mind about one IKE SA and one Child SA.
    fn agreed(&mut self) -> Result<(Ike, Child)> {
        let (swan, ravelin) = (self.swan.view()?, self.ravelin.view()?);
        let ([ike], [child]) = (&swan.ike[..], &swan.children[..]) else { bail!("the peer lists {}", summary(&swan)) };
        let ([own_ike], [own_child]) = (&ravelin.ike[..], &ravelin.children[..]) else {
            bail!("Ravelin lists {}", summary(&ravelin))
        };
        let mut ike = ike.clone();
        let (theirs, ours) = (ike.spis.get_or_insert_with(|| own_ike.spis.clone().unwrap_or_default()), &own_ike.spis);
        ensure!(Some(&*theirs) == ours.as_ref(), "IKE SPIs: the peer lists {theirs:?}, Ravelin {ours:?}");
        ensure!(
            (&child.spi_in, &child.spi_out) == (&own_child.spi_out, &own_child.spi_in),
            "SPIs: the peer lists {} in and {} out, Ravelin {} in and {} out",
            child.spi_in,
            child.spi_out,
            own_child.spi_in,
            own_child.spi_out
        );
        Ok((ike, child.clone()))
    }

    fn settled(&mut self) -> Result<(Ike, Child)> {
        wait_for(SETTLE, "both sides to list the same SAs", || self.agreed())
    }

    /// What a side has said since the last negotiation was begun.
    fn said(&mut self, name: &str) -> Result<String> {
        let heard = if name == "ravelin" { self.heard.0 } else { self.heard.1 };
        let said = self.side(name)?.said();
        Ok(said.get(heard..).unwrap_or_default().to_owned())
    }

    fn initiate(&mut self, name: &str) -> Result<()> {
        self.heard = (self.ravelin.said().len(), self.swan.said().len());
        self.side(name)?.initiate()
    }

    /// Does something while pings cross, and asserts that none was lost.
    fn under_traffic(&mut self, between: &str, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let (there, _) = self.plan.directions(between.parse::<Between>()?)?;
        let pinging = Pinging::start(self.ravelin_host, there, &self.folder.join("ping-rekey.log"))?;
        std::thread::sleep(Duration::from_millis(300));
        act(self)?;
        let (answered, lost) = pinging.stop()?;
        ensure!(answered > 20 && lost.is_empty(), "{answered} pings were answered meanwhile; lost were {lost:?}");
        Ok(())
    }

    /// Waits until another SA is in the place of the one in `before` and carries traffic.
    fn replaced(&mut self, what: Sa, before: &(Ike, Child)) -> Result<()> {
        let after = wait_for(SETTLE, "the new SA alone on both sides", || {
            let now = self.agreed()?;
            let new_ike = now.0.spis != before.0.spis;
            let new_child = now.1.spi_in != before.1.spi_in && now.1.spi_out != before.1.spi_out;
            let expected = (what == Sa::Ike, what == Sa::Child);
            ensure!((new_ike, new_child) == expected, "new IKE SA: {new_ike}, new Child SA: {new_child}");
            Ok(now)
        })?;
        let start = if what == Sa::Child { (0, 0) } else { after.1.packets };
        wait_for(SETTLE, "traffic after the rekey", || {
            let (_, now) = self.agreed()?;
            let grows = now.packets.0 > start.0 + 20 && now.packets.1 > start.1 + 20;
            ensure!(grows, "the peer counts {:?}, after {start:?}", now.packets);
            Ok(())
        })
    }

    /// Sends over a TCP connection from that side.
    fn send(&mut self, side: &str, direction: Direction) -> Result<()> {
        let helper = self.helper;
        self.side(side)?.send(helper, direction).with_context(|| format!("TCP from the side of {side}"))
    }

    fn no_child(&mut self) -> Result<()> {
        let (swan, ravelin) = (self.swan.view()?, self.ravelin.view()?);
        ensure!(swan.children.is_empty(), "the peer lists {}", summary(&swan));
        ensure!(ravelin.children.is_empty(), "Ravelin lists {}", summary(&ravelin));
        Ok(())
    }
}

fn summary(view: &View) -> String {
    let spis = |ike: &Ike| ike.spis.as_ref().map_or("?".to_owned(), |(i, r)| format!("{i}_i {r}_r"));
    let ike: Vec<_> = view.ike.iter().map(spis).collect();
    let children: Vec<_> =
        view.children.iter().map(|child| format!("{}_i {}_o", child.spi_in, child.spi_out)).collect();
    format!("IKE SAs [{}], Child SAs [{}]", ike.join(", "), children.join(", "))
}

fn sa(word: &str) -> Result<Sa> {
    match word {
        "ike" => Ok(Sa::Ike),
        "child" => Ok(Sa::Child),
        other => bail!("`{other}`: expected child or ike"),
    }
}

fn up(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.initiate(&words[0])?;
    scene.settled()?;
    Ok(())
}

fn suite(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.swan.propose(&words[0])?;
    scene.ravelin.propose(&words[1])?;
    for side in ["ravelin", "swan"] {
        scene.initiate(side)?;
        ike(scene, &words[2..])?;
        // A message of each side that the other opens.
        delete(scene, &["ike".to_owned(), side.to_owned()])?;
    }
    Ok(())
}

fn ondemand(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.no_child()?;
    let (there, back) = scene.plan.directions(words[1].parse()?)?;
    if only_tcp(&words[2..])? {
        let direction = if words[0] == "ravelin" { there } else { back };
        scene.send(&words[0], direction)?;
    } else if words[0] == "ravelin" {
        // One packet only: it starts the negotiation and must itself arrive.
        let text = scene.ravelin_host.sh(&format!("ping {} || true", traffic::ping_arguments(there, 1, "1", 10)))?;
        ensure!(traffic::ping_result(&text)? == (1, 1), "the packet that started the negotiation was lost: {text}");
    } else {
        // Linux drops the packet that starts a negotiation.
        wait_for(SETTLE, "an answer through an SA started by the peer's traffic", || {
            let text = scene.swan_host.sh(&format!("ping {} || true", traffic::ping_arguments(back, 1, "1", 2)))?;
            ensure!(traffic::ping_result(&text)? == (1, 1), "{text}");
            Ok(())
        })?;
    }
    scene.settled()?;
    Ok(())
}

fn refuse(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    ensure!(scene.initiate(&words[0]).is_err(), "the negotiation succeeded");
    wait_for(SETTLE, "no Child SA on either side", || scene.no_child())
}

fn ike(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (ike, _) = scene.settled()?;
    compare(&ike.fields, words)
}

fn child(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (_, child) = scene.settled()?;
    let words: Vec<String> = words.iter().map(|word| scene.plan.fill(word, &[])).collect::<Result<_>>()?;
    compare(&child.fields, &words)
}

fn compare(fields: &std::collections::BTreeMap<String, String>, words: &[String]) -> Result<()> {
    for word in words {
        let (key, expected) = word.split_once('=').with_context(|| format!("`{word}`: expected KEY=VALUE"))?;
        let actual = fields.get(key).map_or("-", String::as_str);
        ensure!(actual == expected, "the peer lists {key}={actual}, expected {expected}; all: {fields:?}");
    }
    Ok(())
}

fn ravelin(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let line = scene.plan.fill(&words[0], &[])?;
    let said = scene.ravelin.command(&line)?;
    for text in &words[1..] {
        let text = scene.plan.fill(text, &[])?;
        ensure!(said.contains(&text), "`{text}` is not in what `{line}` says:\n{said}");
    }
    Ok(())
}

fn sh(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let line = scene.plan.fill(&words[1], &[])?;
    match words[0].as_str() {
        "ravelin" => scene.ravelin_host.sh(&line),
        "swan" => scene.swan_host.sh(&line),
        other => bail!("`{other}`: expected ravelin or swan"),
    }
    .map(drop)
}

fn narrow(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let mtu: u16 = words[0].parse().context("MTU")?;
    let swan = scene.swan_host;
    swan.sh("nft delete table netdev narrow 2>/dev/null || true")?;
    if mtu < 1500 {
        // What either side sends meets one of the two hooks.
        for (hook, name) in [("ingress", "in"), ("egress", "out")] {
            swan.sh(&format!(
                "nft 'add table netdev narrow
                 add chain netdev narrow {name} {{ type filter hook {hook} device eth0 priority 0; }}
                 add rule netdev narrow {name} ip frag-off & 0x3fff != 0 drop
                 add rule netdev narrow {name} ip length > {mtu} drop'"
            ))?;
        }
    }
    Ok(())
}

fn only_tcp(words: &[String]) -> Result<bool> {
    match words {
        [] => Ok(false),
        [word] if word == "tcp" => Ok(true),
        other => bail!("`{}`: expected tcp or nothing", other.join(" ")),
    }
}

fn traffic(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[0].parse()?)?;
    let (_, before) = scene.settled()?;
    if !only_tcp(&words[1..])? {
        for (text, from) in [
            (scene.ravelin_host.sh(&format!("ping {}", traffic::ping_arguments(there, 5, "0.1", 10)))?, "Ravelin"),
            (scene.swan_host.sh(&format!("ping {}", traffic::ping_arguments(back, 5, "0.1", 10)))?, "the peer"),
        ] {
            ensure!(traffic::ping_result(&text)? == (5, 5), "pings from {from}: {text}");
        }
    }
    scene.send("ravelin", there)?;
    scene.send("swan", back)?;
    // Four streams, in segments of at most 1500 octets.
    let least = 2 * traffic::BYTES / 1500;
    wait_for(SETTLE, "the peer to count what crossed", || {
        let (_, after) = scene.agreed()?;
        let grown = (after.packets.0 - before.packets.0, after.packets.1 - before.packets.1);
        ensure!(
            grown.0 >= least && grown.1 >= least,
            "the peer counted {grown:?} more packets, at least {least} crossed each way"
        );
        Ok(())
    })
}

fn connect(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[1].parse()?)?;
    scene.send(&words[0], if words[0] == "ravelin" { there } else { back })
}

fn flows(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let count: usize = words[0].parse()?;
    let (there, _) = scene.plan.directions(words[1].parse()?)?;
    scene.no_child()?;
    for _ in 0..count {
        scene.send("ravelin", there)?;
    }
    // Both streams of a connection, in segments of at most 1500 octets.
    let least = traffic::BYTES / 1500;
    wait_for(SETTLE, "a Child SA for each flow on both sides", || {
        let (swan, ravelin) = (scene.swan.view()?, scene.ravelin.view()?);
        ensure!(swan.ike.len() == 1, "the peer lists {}", summary(&swan));
        let theirs: BTreeSet<_> = swan.children.iter().map(|child| (&child.spi_in, &child.spi_out)).collect();
        let ours: BTreeSet<_> = ravelin.children.iter().map(|child| (&child.spi_out, &child.spi_in)).collect();
        ensure!(theirs.len() == count && theirs == ours, "{} and {}", summary(&swan), summary(&ravelin));
        let mut ports = BTreeSet::new();
        for child in &swan.children {
            let selector = |side| child.fields.get(side).map_or("-", String::as_str);
            let (local, remote) = (selector("local-ts"), selector("remote-ts"));
            let narrow = |selector: &str, host| selector.starts_with(&format!("{host}/32[tcp/"));
            ensure!(narrow(local, there.to) && narrow(remote, there.from), "the peer lists {local} === {remote}");
            ports.insert(remote);
            ensure!(
                child.packets.0 >= least && child.packets.1 >= least,
                "the peer counted {:?} packets on the SA of {remote}, at least {least} crossed each way",
                child.packets
            );
        }
        ensure!(ports.len() == count, "the flows are {ports:?}");
        Ok(())
    })
}

fn large(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[0].parse()?)?;
    scene.settled()?;
    // Path MTU discovery may cost the first ones.
    wait_for(SETTLE, "answers to large pings of Ravelin's side", || {
        let text =
            scene.ravelin_host.sh(&format!("ping -s 4000 {} || true", traffic::ping_arguments(there, 2, "0.2", 2)))?;
        ensure!(traffic::ping_result(&text)? == (2, 2), "{text}");
        Ok(())
    })?;
    wait_for(SETTLE, "answers to large pings of the peer's side", || {
        let text =
            scene.swan_host.sh(&format!("ping -s 4000 {} || true", traffic::ping_arguments(back, 2, "0.2", 2)))?;
        ensure!(traffic::ping_result(&text)? == (2, 2), "{text}");
        Ok(())
    })
}

fn rekey(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let what = sa(&words[0])?;
    let before = scene.settled()?;
    scene.under_traffic(&words[2], |scene| {
        scene.side(&words[1])?.rekey(what)?;
        scene.replaced(what, &before)
    })
}

fn renewed(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let what = sa(&words[0])?;
    let before = scene.settled()?;
    scene.under_traffic(&words[1], |scene| scene.replaced(what, &before))
}

fn move_to(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let [side, new, between] = words else { bail!("expected SIDE ADDRESS BETWEEN") };
    let before = scene.settled()?;
    let (there, _) = scene.plan.directions(between.parse::<Between>()?)?;
    let pinging = Pinging::start(scene.ravelin_host, there, &scene.folder.join("ping-move.log"))?;
    std::thread::sleep(Duration::from_millis(300));
    // There is never none, so nobody goes over to IPv6 meanwhile. The routes of an address go with it.
    let change = format!(
        "routes=$(ip -4 route show dev eth0 | grep via || true)
         sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1
         old=$(ip -4 -o addr show dev eth0 scope global | awk '{{ print $4 }}')
         ip addr add {new}/24 dev eth0; for gone in $old; do ip addr del $gone dev eth0; done
         echo \"$routes\" | while read -r route; do [ -z \"$route\" ] || ip route replace $route dev eth0; done"
    );
    let field = if side == "ravelin" { "remote-host" } else { "local-host" };
    match side.as_str() {
        "ravelin" => scene.ravelin_host.sh(&change)?,
        "swan" => scene.swan_host.sh(&change)?,
        other => bail!("`{other}`: expected ravelin or swan"),
    };
    let after = wait_for(SETTLE, "the IKE SA at another address", || {
        let now = scene.agreed()?;
        ensure!(now.0.spis == before.0.spis, "the IKE SA is another");
        let listed = now.0.fields.get(field).map_or("-", String::as_str);
        ensure!(listed == new, "the peer lists {field}={listed}");
        Ok(now)
    })?;
    wait_for(SETTLE, "traffic after the move", || {
        let (_, now) = scene.agreed()?;
        // strongSwan in user space cannot give an SA other addresses: it rekeys.
        let start = if now.spi_in == after.1.spi_in { after.1.packets } else { (0, 0) };
        let grows = now.packets.0 > start.0 + 20 && now.packets.1 > start.1 + 20;
        ensure!(grows, "the peer counts {:?}, after {start:?}", now.packets);
        Ok(())
    })?;
    let (answered, lost) = pinging.stop()?;
    ensure!(answered > 20 && lost.len() < MOVE_LOSS, "{answered} pings were answered meanwhile; lost were {lost:?}");
    Ok(())
}

fn delete(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let what = sa(&words[0])?;
    scene.settled()?;
    scene.side(&words[1])?.delete(what)?;
    wait_for(SETTLE, "the SA to go on both sides", || {
        scene.no_child()?;
        let left = usize::from(what == Sa::Child);
        let (swan, ravelin) = (scene.swan.view()?, scene.ravelin.view()?);
        ensure!(swan.ike.len() == left, "the peer lists {}", summary(&swan));
        ensure!(ravelin.ike.len() == left, "Ravelin lists {}", summary(&ravelin));
        Ok(())
    })
}

fn kill(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.side(&words[0])?.kill()
}

fn start(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.side(&words[0])?.start()
}

fn restart(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let before = scene.settled()?;
    scene.under_traffic(&words[0], |scene| {
        scene.ravelin.kill()?;
        std::thread::sleep(ABSENCE);
        Ok(())
    })?;
    // The new IKE SA ends the old one at the peer, with what is under way in it.
    scene.ravelin.start()?;
    wait_for(SETTLE, "new SAs alone on both sides", || {
        let now = scene.agreed()?;
        ensure!(now.0.spis != before.0.spis && now.1.spi_in != before.1.spi_in, "the old ones are still there");
        Ok(())
    })?;
    scene.under_traffic(&words[0], |_| {
        std::thread::sleep(ABSENCE);
        Ok(())
    })
}

fn dead(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let side = scene.side(&words[0])?;
    wait_for(words[1].parse().context("SECONDS")?, "the dead peer's SAs to go", || {
        let view = side.view()?;
        ensure!(view == View::default(), "it lists {}", summary(&view));
        Ok(())
    })
}

fn log(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    for text in &words[1..] {
        wait_for(LOG, &format!("`{text}`"), || {
            let said = scene.said(&words[0])?;
            ensure!(said.contains(text.as_str()), "it said, last:\n{}", last_lines(&said));
            Ok(())
        })?;
    }
    Ok(())
}

fn wire(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let seen = scene.capture.take().context("the recording has ended")?.stop()?;
    ensure!(seen.clear.is_empty(), "in the clear on the wire: {:#?}", seen.clear);
    let wanted = match words[0].as_str() {
        "esp" => seen.esp,
        "udp" => seen.udp_esp,
        "ah" => seen.ah,
        "gre" => seen.gre_esp,
        word => bail!("`{word}`: expected esp, udp, ah or gre"),
    };
    let all = seen.esp + seen.udp_esp + seen.ah + seen.gre_esp;
    ensure!(wanted > 0 && wanted == all && seen.ike > 0, "on the wire: {seen:?}");
    let readable = match words.get(1).map(String::as_str) {
        None => false,
        Some("readable") => true,
        Some(word) => bail!("`{word}`: expected readable or nothing"),
    };
    ensure!((seen.readable > 0) == readable, "payload could be read in {} of {all} packets", seen.readable);
    Ok(())
}

fn gre(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let away = "ip link del gre1 2>/dev/null || true";
    match words[0].as_str() {
        "up" => {}
        "down" => {
            scene.swan_host.kernel(away)?;
            // Its device goes with it.
            return scene.gre.take().map_or(Ok(()), |tunnel| tunnel.stop(Signal::TERM));
        }
        word => bail!("`{word}`: expected up or down"),
    }
    let (own, other) = (scene.plan.name("ravelin")?, scene.plan.name("swan")?);
    scene.swan_host.kernel(&format!(
        "modprobe ip_gre; {away}
         ip link add gre1 type gre local {other} remote {own}
         echo 1 >/proc/sys/net/ipv6/conf/gre1/disable_ipv6
         ip addr add 10.3.0.2/30 dev gre1; ip link set gre1 up"
    ))?;
    let Host::Namespace(namespace) = scene.ravelin_host else {
        bail!("only where Ravelin is in a namespace of the host")
    };
    let mut command = namespace.command(scene.helper);
    command.args(["gre", "gre1", own, other]);
    let mut tunnel = Daemon::start(&mut command, &scene.folder.join("gre.log"))?;
    wait_for(SETTLE, "the device of the GRE tunnel", || {
        tunnel.check()?;
        scene.ravelin_host.sh("ip link show gre1").map(drop)
    })?;
    // The header is 4 bytes, in an IPv4 packet.
    scene.ravelin_host.sh("echo 1 >/proc/sys/net/ipv6/conf/gre1/disable_ipv6
         ip addr add 10.3.0.1/30 dev gre1; ip link set gre1 mtu 1476 up")?;
    scene.gre = Some(tunnel);
    Ok(())
}

fn swanctl(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let mut command = Command::new("swanctl");
    command.args(words[0].split_whitespace()).args(["--uri", &format!("unix://{SOCKET}")]);
    let answer = run_command(command.env("SWANCTL_DIR", scene.folder.join("ravelin")))?;
    ensure!(answer.ok, "swanctl {}: {}", words[0], answer.text);
    says(scene, words, &answer.text)
}

fn peer(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let answer = scene.swan.command(&words[0])?;
    says(scene, words, &answer)
}

/// Whether all texts behind the arguments are in what swanctl says. Listings are aligned with blanks.
fn says(scene: &Scene<'_>, words: &[String], answer: &str) -> Result<()> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = plain(answer);
    for text in &words[1..] {
        let text = plain(&scene.plan.fill(text, &[])?);
        ensure!(said.contains(&text), "`{text}` is not in what swanctl {} says: {answer}", words[0]);
    }
    Ok(())
}

fn enforce(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    ensure!(scene.capture.is_none(), "clear packets would be in the recording; say `wire` before");
    scene.no_child()?;
    let (_, back) = scene.plan.directions(words[0].parse()?)?;
    let text = scene.swan_host.sh(&format!("ping {} || true", traffic::ping_arguments(back, 3, "0.2", 1)))?;
    ensure!(traffic::ping_result(&text)? == (3, 0), "clear packets got in and were answered: {text}");
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
