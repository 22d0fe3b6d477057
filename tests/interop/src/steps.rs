//! The words in which `expect` is written: each is one row of [`WORDS`] and one function below it.

mod aggfrag;
mod crowd;
mod kernel;
mod listing;
mod payload;
mod sas;
mod wireshark;

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::capture::Capture;
use crate::lab::Host;
use crate::node::{Child, Ike, Node, View};
use crate::plan::{Between, Direction, Plan};
use crate::process::{Daemon, wait_for};
use crate::radius;
use crate::traffic::Pinging;

/// What a kernel says of its SAs and policies, and of packets that it dropped before and after them.
pub const STATES: &str =
    "ip -s xfrm state; ip -s xfrm policy; cat /proc/net/xfrm_stat /proc/net/softnet_stat /proc/net/snmp";
/// How long two sides may take to agree about their SAs.
const SETTLE: u64 = 30;

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
    /// The program under test.
    pub program: &'a Path,
    /// Ravelin's end of a GRE tunnel.
    pub gre: Option<Daemon>,
    /// The recording of the wire, until a step or the end stops it.
    pub capture: Option<Capture>,
    /// Whether there is time for as much as a step can do.
    pub full: bool,
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
        self.usage.split([' ', ':']).next().unwrap_or_default()
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
    word("up SIDE: that side negotiates; both list the same SAs", 1..=1, sas::up),
    word("ondemand SIDE BETWEEN [tcp]: that side's first packet negotiates", 2..=3, sas::ondemand),
    word("refuse SIDE: that side negotiates in vain", 1..=1, sas::refuse),
    word("suite THEIRS OURS KEY=VALUE...: an IKE SA with these algorithms, started by either side", 2..=9, sas::suite),
    word("ike KEY=VALUE...: the peer lists this of the IKE SA; `-` is absent", 1..=9, sas::ike),
    word("child KEY=VALUE...: the peer lists this of the Child SA", 1..=12, sas::child),
    word(
        "swanctl ARGUMENTS TEXT...: Debian's swanctl, commanding Ravelin, succeeds and says this",
        1..=9,
        listing::swanctl,
    ),
    word("ravelin LINE TEXT...: Ravelin's own command line, which says this", 1..=9, listing::ravelin),
    word("refused LINE TEXT...: Ravelin's own command line fails, and says this", 2..=9, listing::refused),
    word("peer ARGUMENTS TEXT...: the peer's own swanctl or whack succeeds and says this", 1..=9, listing::peer),
    word(
        "sh SIDE LINE: a shell line on that side's host succeeds, or on the `router` that translates addresses; `{helper}` is this program",
        2..=2,
        listing::sh,
    ),
    word(
        "narrow MTU: packets of at most so many octets on the wire, and no IP fragments; 1500 ends it",
        1..=1,
        payload::narrow,
    ),
    word("kernel TEXT...: the peer's kernel lists this of its states", 1..=9, kernel::kernel),
    word("own TEXT...: Ravelin's kernel lists this of its states and policies", 1..=9, kernel::own),
    word(
        "device COUNT: netdevsim holds so many SAs, the same that Ravelin's kernel lists as its",
        1..=1,
        kernel::device,
    ),
    word("ways: Ravelin's kernel keeps each state to its direction where it can (Linux 6.10)", 0..=0, kernel::ways),
    word(
        "processors COUNT SIDE BETWEEN: pings of each of so many processors of that side go over an SA of its own, by its kernel's count",
        3..=3,
        kernel::processors,
    ),
    word(
        "shrinks BETWEEN: pings with the same octet all along are answered, and the peer's kernel counts few octets of ESP each way",
        1..=1,
        kernel::shrinks,
    ),
    word(
        "shares BETWEEN: small packets share protected ones and long ones take several both ways, by the count of the peer's kernel, \
         which counts no error",
        1..=1,
        aggfrag::shares,
    ),
    word(
        "rough BETWEEN: TCP crosses both ways while the wire loses packets and has those of the peer out of order",
        1..=1,
        aggfrag::rough,
    ),
    word("sound [NAME...]: Ravelin's kernel counted no error but these", 0..=9, kernel::sound),
    word("traffic BETWEEN [tcp]: payload crosses both ways", 1..=2, payload::traffic),
    word(
        "connect SIDE BETWEEN: a TCP connection from that side carries the pattern both ways",
        2..=2,
        payload::connect,
    ),
    word(
        "flows COUNT BETWEEN: so many TCP connections from Ravelin's side, each on SAs of its own",
        2..=2,
        payload::flows,
    ),
    word(
        "crowd COUNT FULL BETWEEN: so many TCP and as many UDP flows at a time from Ravelin's side, with --full FULL, each on SAs of \
         its own, by the counts of both kernels; idle ones go",
        3..=3,
        crowd::crowd,
    ),
    word(
        "large BETWEEN [SIDE]: packets that fit into no link cross both ways, in fragments, begun by either side or that one",
        1..=2,
        payload::large,
    ),
    word(
        "rekey SA SIDE BETWEEN [early]: that side rekeys, under traffic, without loss; early: until it has the SA, what the other sends on it before its answer is lost",
        3..=4,
        sas::rekey,
    ),
    word(
        "robbed BETWEEN LINE: a shell line takes SAs away from Ravelin's kernel; another Child SA takes their place on both sides, which \
         alone Ravelin's kernel has, and carries pings",
        2..=2,
        sas::robbed,
    ),
    word("renewed SA|both BETWEEN: it is replaced in time by itself, under traffic, without loss", 2..=2, sas::renewed),
    word(
        "move SIDE ADDRESS BETWEEN: the address of that side becomes another, under traffic; the IKE SA goes on there",
        3..=3,
        sas::move_to,
    ),
    word(
        "redirect SIDE GATEWAY BETWEEN: that side sends the other there, under traffic, without loss; other SAs take the place of those before",
        3..=3,
        sas::redirect,
    ),
    word("delete SA SIDE: it goes on both sides", 2..=2, sas::delete),
    word("kill SIDE: as a power cut would", 1..=1, sas::kill),
    word("start SIDE: again", 1..=1, sas::start),
    word("stop SIDE: it ends, and puts the system back", 1..=1, sas::stop),
    word("ended: both sides have no SA any more", 0..=0, sas::ended),
    word(
        "account KIND TEXT...: the RADIUS server wrote down a record of this kind, with all of this; NAME>0 is a number above 0",
        1..=12,
        listing::account,
    ),
    word(
        "restart BETWEEN: Ravelin is killed, and its SAs carry traffic without loss until it is back with new ones",
        1..=1,
        sas::restart,
    ),
    word(
        "bereft BETWEEN LINE: Ravelin is killed, a shell line takes SAs away from its kernel so that the peer's packets are lost, and \
         Ravelin is back: other SAs alone are on both sides and in its kernel, for which no packet asked, and carry the peer's",
        2..=2,
        sas::bereft,
    ),
    word("dead SIDE SECONDS: that side finds the other dead", 2..=2, sas::dead),
    word(
        "log SIDE TEXT...: that side said so since the last `up` or `refuse`, or `radius`, the server, at all",
        2..=9,
        listing::log,
    ),
    word(
        "gre up|down: a GRE tunnel between the hosts: device gre1, 10.3.0.1 at Ravelin's end and 10.3.0.2 at the peer's",
        1..=1,
        payload::gre,
    ),
    word(
        "wire esp|udp|ah|gre [readable]: protected in this form only, unreadable or not; ends the recording",
        1..=2,
        payload::wire,
    ),
    word(
        "wireshark: tshark and `ravelin decode` open all of the recording with the keys that Ravelin logged, and read the same; \
         after `wire` only",
        0..=0,
        wireshark::wireshark,
    ),
    word("xfrm COMMAND...: `ip xfrm COMMAND` in the peer's kernel, keyed by hand", 2..=60, kernel::xfrm),
    word(
        "cross BETWEEN esp|ah: payload crosses both ways, under keys that nobody negotiated; ends the recording",
        2..=2,
        kernel::cross,
    ),
    word("enforce BETWEEN: the peer's clear packets do not get in; after `wire` only", 1..=1, payload::enforce),
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
        if name == "radius" {
            return Ok(std::fs::read_to_string(radius::log(self.folder))?);
        }
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
        let (answered, lost) = self.while_pings_cross(between, act)?;
        ensure!(answered > 20 && lost.is_empty(), "{answered} pings were answered meanwhile; lost were {lost:?}");
        Ok(())
    }

    /// Does something while pings cross; how many were answered, and which were not.
    fn while_pings_cross(
        &mut self,
        between: &str,
        act: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<(usize, Vec<u32>)> {
        let (there, _) = self.plan.directions(between.parse::<Between>()?)?;
        let pinging = Pinging::start(self.ravelin_host, there, &self.folder.join("ping-rekey.log"))?;
        std::thread::sleep(Duration::from_millis(300));
        act(self)?;
        pinging.stop()
    }

    /// Waits until others are in the place of the SAs in `before`, of the IKE SA or of the Child SA or of both, and traffic
    /// is carried.
    fn replaced(&mut self, (ike, child): (bool, bool), before: &(Ike, Child)) -> Result<()> {
        let after = wait_for(SETTLE, "the new SA alone on both sides", || {
            let now = self.agreed()?;
            let new_ike = now.0.spis != before.0.spis;
            let new_child = now.1.spi_in != before.1.spi_in && now.1.spi_out != before.1.spi_out;
            ensure!((new_ike, new_child) == (ike, child), "new IKE SA: {new_ike}, new Child SA: {new_child}");
            Ok(now)
        })?;
        let start = if child { (0, 0) } else { after.1.packets };
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
