//! The word about many flows at a time: each has a pair of SAs of its own, every packet goes by that of its flow, and what
//! carries nothing any more goes. It is the two kernels that count.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Scene;
use crate::crowd::{PORT, PROGRESS, ROUNDS, patience};
use crate::node::{Child, states};
use crate::process::wait_for;

/// How long the listings of both sides may take to agree.
const AGREE: u64 = 40;
/// How long idle SAs may take to go, beside what the policy gives them: a negotiation for each, and both ways.
const IDLE: u64 = 180;

/// What was counted for a flow, from Ravelin's side to the peer's and back.
type Counted = (u64, u64);

/// So many TCP and so many UDP flows from Ravelin's side.
pub fn crowd(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let count: usize = words[usize::from(scene.full)].parse()?;
    let (there, _) = scene.plan.directions(words[2].parse()?)?;
    let helper = scene.helper.display().to_string();
    let swan = scene.swan_host;
    swan.sh(&format!("setsid {helper} crowd {} </dev/null >/run/crowd.log 2>&1 & echo $! >/run/crowd.pid", there.to))?;
    let outcome = cross(scene, &helper, count, (there.from, there.to));
    swan.sh("kill $(cat /run/crowd.pid)")?;
    // It has ended where all went well, and must not outlive the case where not.
    scene.ravelin_host.sh(&format!("kill $(cat {PROGRESS}/pid) 2>/dev/null || true"))?;
    outcome
}

fn cross(scene: &mut Scene<'_>, helper: &str, count: usize, (from, to): (&str, &str)) -> Result<()> {
    let host = scene.ravelin_host;
    host.sh(&format!(
        "rm -rf {PROGRESS}; mkdir {PROGRESS}
         setsid {helper} crowd {from} {to} {count} </dev/null >{PROGRESS}/log 2>&1 & echo $! >{PROGRESS}/pid"
    ))?;
    let told = |what: &str| {
        // It tells a last time before it ends, so that is looked for second.
        let line = format!(
            "[ -e /proc/$(cat {PROGRESS}/pid) ] || echo ended; [ ! -e {PROGRESS}/{what} ] || echo told; cat {PROGRESS}/log"
        );
        wait_for(patience(count).as_secs() + 60, what, || {
            let answer = host.sh(&line)?;
            match answer.trim() {
                said if said.lines().any(|line| line == "told") => Ok(Ok(())),
                said if said.starts_with("ended") => {
                    Ok(Err(anyhow!("the program of the flows ended before `{what}`: {said}")))
                }
                said => bail!("the program of the flows says: {said}"),
            }
        })?
    };
    let ask = |what: &str| host.sh(&format!("touch {PROGRESS}/{what}"));
    let agree = AGREE + patience(count).as_secs() / 10;
    told("up")?;
    // What the daemons list takes long, and the flows go on meanwhile; what the kernels count does not.
    let flows = wait_for(agree, "SAs of its own for each flow on both sides", || named(scene, count))?;
    ask("still")?;
    told("quiet")?;
    let before = wait_for(agree, "no states but those of the flows", || counted(scene, &flows))?;
    ask("go")?;
    told("done")?;
    wait_for(agree, "each packet on the pair of its flow", || {
        let after = counted(scene, &flows)?;
        for (flow, now) in after {
            let start = before.get(&flow).with_context(|| format!("{flow} has other SAs now"))?;
            let (peer, own) = (more(start.peer, now.peer), more(start.own, now.own));
            let sent = match (start.socket, now.socket) {
                (Some(start), Some(now)) => more(start, now),
                _ => (ROUNDS, ROUNDS),
            };
            ensure!(sent.0 >= ROUNDS && sent.1 >= ROUNDS, "{flow}: its socket counted {sent:?}");
            ensure!(
                peer == sent && own == sent,
                "on the SAs of {flow} the peer's kernel counted {peer:?} more packets, Ravelin's {own:?}, its socket {sent:?}"
            );
        }
        Ok(())
    })?;
    ask("end")?;
    wait_for(IDLE, "the SAs that carry nothing to go", || {
        scene.no_child()?;
        for listing in [scene.swan_host.kernel("ip xfrm state")?, host.sh("ip xfrm state")?] {
            ensure!(listing.trim().is_empty(), "left are {listing}");
        }
        Ok(())
    })
}

/// What was counted of a flow until now. What the peer was sent before it had the SA is on one side only.
struct Flow {
    /// By the peer's kernel, on its SAs.
    peer: Counted,
    /// By Ravelin's.
    own: Counted,
    /// Of TCP, by its own socket: acknowledgments are packets, too.
    socket: Option<Counted>,
}

/// What came between the two.
fn more(start: Counted, now: Counted) -> Counted {
    (now.0 - start.0, now.1 - start.1)
}

/// The flows by what the peer lists of them, each with the SPIs of what the peer gets and sends: they are as many as there should be,
/// and both sides have the same SAs.
fn named(scene: &mut Scene<'_>, count: usize) -> Result<BTreeMap<String, (String, String)>> {
    let (swan, ravelin) = (scene.swan.view()?, scene.ravelin.view()?);
    let names = |child: &Child| (child.spi_in.clone(), child.spi_out.clone());
    let mut theirs: Vec<_> = swan.children.iter().map(names).collect();
    let mut ours: Vec<_> = ravelin.children.iter().map(|child| (child.spi_out.clone(), child.spi_in.clone())).collect();
    theirs.sort();
    ours.sort();
    ensure!(theirs == ours, "the peer has {} SAs, Ravelin {}", theirs.len(), ours.len());
    let mut flows = BTreeMap::new();
    for child in &swan.children {
        let selector = child.fields.get("remote-ts").context("the peer lists no selector")?;
        ensure!(flows.insert(selector.clone(), names(child)).is_none(), "{selector} has several SAs");
    }
    let of = |kind: &str| flows.keys().filter(|flow| flow.contains(kind)).count();
    let (tcp, udp) = (of("/32[tcp/"), of("/32[udp/"));
    ensure!((tcp, udp, flows.len()) == (count, count, 2 * count), "{tcp} of TCP, {udp} of UDP: {:?}", flows.keys());
    Ok(flows)
}

/// What was counted of these flows: both kernels have their states and no others.
fn counted(scene: &Scene<'_>, flows: &BTreeMap<String, (String, String)>) -> Result<BTreeMap<String, Flow>> {
    let listing = "ip -s xfrm state";
    let kernels =
        (states::packets(&scene.swan_host.kernel(listing)?)?, states::packets(&scene.ravelin_host.sh(listing)?)?);
    ensure!(
        (kernels.0.len(), kernels.1.len()) == (2 * flows.len(), 2 * flows.len()),
        "the peer's kernel has {} states, Ravelin's {}, for {} flows",
        kernels.0.len(),
        kernels.1.len(),
        flows.len()
    );
    let sockets = sockets(&scene.ravelin_host.sh(&format!("ss -tinHO dport = :{PORT}"))?)?;
    let mut all = BTreeMap::new();
    for (selector, (inbound, outbound)) in flows {
        let of = |kernel: &BTreeMap<String, u64>| -> Result<Counted> {
            let on = |spi: &String| {
                kernel.get(spi).copied().with_context(|| format!("no kernel has SA {spi} of {selector}"))
            };
            Ok((on(inbound)?, on(outbound)?))
        };
        let (peer, own) = (of(&kernels.0)?, of(&kernels.1)?);
        let port = selector.split_once("/32[tcp/").and_then(|(_, port)| port.strip_suffix(']'));
        let socket = port.map(|port| sockets.get(port).copied().with_context(|| format!("no socket has port {port}")));
        all.insert(selector.clone(), Flow { peer, own, socket: socket.transpose()? });
    }
    Ok(all)
}

/// The segments that each TCP connection has sent and received, by its own port, of `ss -tinHO`.
fn sockets(listing: &str) -> Result<BTreeMap<String, Counted>> {
    let mut all = BTreeMap::new();
    for line in listing.lines().filter(|line| !line.trim().is_empty()) {
        let number = |name: &str| -> Result<u64> {
            // What is zero is not shown.
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            Ok(word.map_or(Ok(0), str::parse)?)
        };
        let own = line.split_whitespace().nth(3).and_then(|own| own.rsplit_once(':'));
        let (_, port) = own.with_context(|| format!("a socket without a port: {line}"))?;
        all.insert(port.to_owned(), (number("segs_out:")?, number("segs_in:")?));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_its_segments() {
        let text = "ESTAB 0      0      10.1.0.1:20000 10.2.0.1:5001 cubic wscale:7,7 rto:204 segs_out:7 segs_in:5 data_segs_out:4\n\
                    ESTAB 0      0      10.1.0.1:20001 10.2.0.1:5001 cubic segs_out:1 app_limited\n\n";
        let all = sockets(text).unwrap();
        assert_eq!((all["20000"], all["20001"]), ((7, 5), (1, 0)));
    }
}
