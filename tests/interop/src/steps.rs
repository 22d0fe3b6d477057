//! The words in which `expect` is written: each is one row of [`WORDS`] and one function below it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::capture::Capture;
use crate::node::swan::Swan;
use crate::node::{Child, Ike, Node, Sa, View};
use crate::plan::{Between, Plan};
use crate::process::{Namespace, wait_for};
use crate::traffic::{self, Pinging};

/// How long two sides may take to agree about their SAs.
const SETTLE: u64 = 30;
/// How long a line may take to appear in a log.
const LOG: u64 = 15;

/// Everything a step can reach.
pub struct Scene<'a> {
    /// Addresses.
    pub plan: Plan,
    /// The daemon under test.
    pub ravelin: Box<dyn Node + 'a>,
    /// Its host.
    pub ravelin_host: Namespace,
    /// The peer.
    pub swan: Swan<'a>,
    /// Where logs go.
    pub folder: &'a Path,
    /// The program that sends and receives payload.
    pub helper: &'a Path,
    /// The recording of the wire, until a step or the end stops it.
    pub capture: Option<Capture>,
    /// How much Ravelin and the peer had said when the last negotiation was begun.
    pub heard: (usize, usize),
}

struct Word {
    name: &'static str,
    usage: &'static str,
    arguments: std::ops::RangeInclusive<usize>,
    run: fn(&mut Scene<'_>, &[String]) -> Result<()>,
}

const WORDS: &[Word] = &[
    Word {
        name: "up",
        usage: "up ravelin|swan: that side negotiates; both list the same SAs",
        arguments: 1..=1,
        run: up,
    },
    Word {
        name: "ondemand",
        usage: "ondemand ravelin|swan BETWEEN: its first packet does",
        arguments: 2..=2,
        run: ondemand,
    },
    Word { name: "refuse", usage: "refuse ravelin|swan: that side negotiates in vain", arguments: 1..=1, run: refuse },
    Word {
        name: "ike",
        usage: "ike KEY=VALUE...: the peer lists this of the IKE SA; `-` is absent",
        arguments: 1..=9,
        run: ike,
    },
    Word { name: "child", usage: "child KEY=VALUE...: the same of the Child SA", arguments: 1..=12, run: child },
    Word {
        name: "kernel",
        usage: "kernel TEXT...: the peer's kernel lists this of its states",
        arguments: 1..=9,
        run: kernel,
    },
    Word {
        name: "traffic",
        usage: "traffic host4|host6|net4|net6: payload crosses both ways",
        arguments: 1..=1,
        run: traffic,
    },
    Word {
        name: "rekey",
        usage: "rekey child|ike ravelin|swan BETWEEN: under traffic, without loss",
        arguments: 3..=3,
        run: rekey,
    },
    Word {
        name: "delete",
        usage: "delete child|ike ravelin|swan: it goes on both sides",
        arguments: 2..=2,
        run: delete,
    },
    Word { name: "kill", usage: "kill ravelin|swan: as a power cut would", arguments: 1..=1, run: kill },
    Word {
        name: "dead",
        usage: "dead ravelin|swan SECONDS: that side finds the other dead",
        arguments: 2..=2,
        run: dead,
    },
    Word {
        name: "log",
        usage: "log ravelin|swan TEXT...: it said so since the last `up` or `refuse`",
        arguments: 2..=9,
        run: log,
    },
    Word { name: "wire", usage: "wire esp|udp: in this form only; ends the recording", arguments: 1..=1, run: wire },
];

/// Fails when a line is no step.
pub fn check(words: &[String]) -> Result<()> {
    let name = words.first().map_or("", String::as_str);
    let Some(word) = WORDS.iter().find(|word| word.name == name) else {
        let known: Vec<_> = WORDS.iter().map(|word| word.usage).collect();
        bail!("`{name}` is no step; there are:\n  {}", known.join("\n  "));
    };
    ensure!(word.arguments.contains(&(words.len() - 1)), "usage: {}", word.usage);
    Ok(())
}

/// Does one step.
pub fn run(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    check(words)?;
    let word = WORDS.iter().find(|word| word.name == words[0]).context("checked above")?;
    (word.run)(scene, &words[1..])
}

impl<'a> Scene<'a> {
    fn side(&mut self, name: &str) -> Result<&mut (dyn Node + 'a)> {
        match name {
            "ravelin" => Ok(&mut *self.ravelin),
            "swan" => Ok(&mut self.swan),
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
        ensure!(ike.spis == own_ike.spis, "IKE SPIs: the peer lists {:?}, Ravelin {:?}", ike.spis, own_ike.spis);
        ensure!(
            (&child.spi_in, &child.spi_out) == (&own_child.spi_out, &own_child.spi_in),
            "SPIs: the peer lists {} in and {} out, Ravelin {} in and {} out",
            child.spi_in,
            child.spi_out,
            own_child.spi_in,
            own_child.spi_out
        );
        Ok((ike.clone(), child.clone()))
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

    fn no_child(&mut self) -> Result<()> {
        let (swan, ravelin) = (self.swan.view()?, self.ravelin.view()?);
        ensure!(swan.children.is_empty(), "the peer lists {}", summary(&swan));
        ensure!(ravelin.children.is_empty(), "Ravelin lists {}", summary(&ravelin));
        Ok(())
    }
}

fn summary(view: &View) -> String {
    let ike: Vec<_> = view.ike.iter().map(|ike| format!("{}_i {}_r", ike.spis.0, ike.spis.1)).collect();
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

fn ondemand(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    scene.no_child()?;
    let (there, back) = scene.plan.directions(words[1].parse()?)?;
    if words[0] == "ravelin" {
        // One packet only: it starts the negotiation and must itself arrive.
        let text = scene.ravelin_host.sh(&format!("ping {} || true", traffic::ping_arguments(there, 1, "1")))?;
        ensure!(traffic::ping_result(&text)? == (1, 1), "the packet that started the negotiation was lost: {text}");
    } else {
        // Linux drops the packet that starts a negotiation.
        wait_for(SETTLE, "an answer through an SA started by the peer's traffic", || {
            let text = scene.swan.host().sh(&format!("ping {} || true", traffic::ping_arguments(back, 1, "1")))?;
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

fn kernel(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let states = scene.swan.kernel_states()?;
    for word in words {
        ensure!(states.contains(word.as_str()), "the peer's kernel does not list `{word}`:\n{states}");
    }
    Ok(())
}

fn traffic(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let (there, back) = scene.plan.directions(words[0].parse()?)?;
    let (_, before) = scene.settled()?;
    let swan = scene.swan.host();
    for (text, from) in [
        (scene.ravelin_host.sh(&format!("ping {}", traffic::ping_arguments(there, 5, "0.1")))?, "Ravelin"),
        (swan.sh(&format!("ping {}", traffic::ping_arguments(back, 5, "0.1")))?, "the peer"),
    ] {
        ensure!(traffic::ping_result(&text)? == (5, 5), "pings from {from}: {text}");
    }
    let _server = traffic::start_server(&scene.ravelin_host, scene.helper, &scene.folder.join("server-ravelin.log"))?;
    let _peer_server = match swan {
        crate::lab::Host::Namespace(namespace) => {
            Some(traffic::start_server(namespace, scene.helper, &scene.folder.join("server-swan.log"))?)
        }
        // The guest's serves from its start on.
        crate::lab::Host::Guest(_) => None,
    };
    let listening = "until ss -Hltn sport = :7000 | grep -q 7000; do sleep 0.05; done";
    scene.ravelin_host.sh(listening)?;
    swan.sh(listening)?;
    scene.ravelin_host.sh(&traffic::send_line(scene.helper, there)).context("TCP from Ravelin's side")?;
    swan.sh(&traffic::send_line(scene.helper, back)).context("TCP from the peer's side")?;
    // Ten pings and four streams of at most a segment of 1500 octets each.
    let least = 10 + 2 * traffic::BYTES / 1500;
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

fn rekey(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let what = sa(&words[0])?;
    let (there, _) = scene.plan.directions(words[2].parse::<Between>()?)?;
    let before = scene.settled()?;
    let pinging = Pinging::start(&scene.ravelin_host, there, &scene.folder.join("ping-rekey.log"))?;
    std::thread::sleep(Duration::from_millis(300));
    scene.side(&words[1])?.rekey(what)?;
    let after = wait_for(SETTLE, "the new SA alone on both sides", || {
        let now = scene.agreed()?;
        match what {
            Sa::Ike => {
                ensure!(now.0.spis != before.0.spis, "still IKE SA {:?}", before.0.spis);
                ensure!(now.1.spi_in == before.1.spi_in, "the Child SA changed with its IKE SA");
            }
            Sa::Child => {
                ensure!(
                    now.1.spi_in != before.1.spi_in && now.1.spi_out != before.1.spi_out,
                    "still {}",
                    before.1.spi_in
                );
                ensure!(now.0.spis == before.0.spis, "the IKE SA changed with its Child SA");
            }
        }
        Ok(now)
    })?;
    wait_for(SETTLE, "traffic in the Child SA after the rekey", || {
        let (_, now) = scene.agreed()?;
        let base = if what == Sa::Child { (0, 0) } else { after.1.packets };
        ensure!(now.packets.0 > base.0 + 20 && now.packets.1 > base.1 + 20, "the peer counts {:?}", now.packets);
        Ok(())
    })?;
    let (sent, answered) = pinging.stop()?;
    // The last ping may be under way when ping is stopped.
    ensure!(sent > 20 && answered + 1 >= sent, "{sent} pings were sent during the rekey and {answered} answered");
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
    let (wanted, other) = match words[0].as_str() {
        "esp" => (seen.esp, seen.udp_esp),
        "udp" => (seen.udp_esp, seen.esp),
        word => bail!("`{word}`: expected esp or udp"),
    };
    ensure!(wanted > 0 && other == 0 && seen.ike > 0, "on the wire: {seen:?}");
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
