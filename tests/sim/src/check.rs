//! What must be up once faults have ended and the hosts have had time to recover.

use std::collections::BTreeSet;

use ravelin_ike::view::{ChildSaView, IkeSaView};
use ravelin_types::dataplane::SaStatus;
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::TrafficSelector;

use crate::node::Node;
use crate::scenario::Scenario;

/// More Child SAs than this for one policy in one IKE SA mean that collisions leave SAs behind.
const MAX_CHILDREN: usize = 3;

/// Whether neither node is in the middle of something, which it is while what a peer made anew does not send yet (RFC 7296 §2.8).
pub fn quiet(nodes: &[Node; 2]) -> bool {
    nodes.iter().all(|node| {
        let views = node.endpoint.ike_sas();
        let ids = node.engine.list().into_iter().map(|sa| sa.params.id());
        let sending: BTreeSet<_> = ids.filter(|id| id.direction == Direction::Outbound).map(|id| id.spi).collect();
        let rests = |child: &ChildSaView| child.state == "INSTALLED" && sending.contains(&child.outbound);
        // Nobody answers when IKEv1 deletes a Child SA: one that was replaced may stay until it expires.
        let rests_in_v1 = |child: &ChildSaView| ["INSTALLED", "REKEYED"].contains(&child.state);
        let all_rest = |ike: &IkeSaView| match ike.version {
            1 => ike.children.iter().all(rests_in_v1),
            _ => ike.children.iter().all(rests),
        };
        !views.is_empty() && views.iter().all(|ike| ike.state == "ESTABLISHED" && all_rest(ike))
    })
}

/// What stands in the way of [`quiet`], for the report.
pub fn states(nodes: &[Node; 2]) -> String {
    let mut text = String::new();
    for node in nodes {
        text += &format!("node {}:", node.index);
        for ike in node.endpoint.ike_sas() {
            let children: Vec<_> = ike.children.iter().map(|c| format!("{} {}", c.inbound, c.state)).collect();
            text += &format!(" [{}-{} {} {}]", ike.spis.0, ike.spis.1, ike.state, children.join(", "));
        }
        text += "; ";
    }
    text
}

/// Compares both endpoints with each other, each with its engine, and both engines with each other.
///
/// # Errors
/// Says what does not fit.
pub fn agreement(nodes: &[Node; 2], scenario: &Scenario) -> Result<(), String> {
    let ike: Vec<BTreeSet<_>> =
        nodes.iter().map(|node| node.endpoint.ike_sas().iter().map(|ike| ike.spis).collect()).collect();
    if ike[0] != ike[1] {
        return Err(format!("the nodes have different IKE SAs: {}", states(nodes)));
    }
    let lists = [nodes[0].engine.list(), nodes[1].engine.list()];
    for (node, list) in nodes.iter().zip(&lists) {
        endpoint_and_engine(node, list, scenario.flows.into())?;
    }
    for (here, there) in [(0, 1), (1, 0)] {
        for sa in &lists[here] {
            let twin = lists[there]
                .iter()
                .find(|other| other.params.direction != sa.params.direction && other.params.spi == sa.params.spi)
                .ok_or_else(|| format!("{:?} of node {here} has no counterpart", sa.params.id()))?;
            twins(&on_the_wire(&sa.params, scenario), &on_the_wire(&twin.params, scenario))?;
        }
    }
    Ok(())
}

/// The endpoint's Child SAs are exactly the SAs of the engine.
fn endpoint_and_engine(node: &Node, list: &[SaStatus], flows: usize) -> Result<(), String> {
    let installed: BTreeSet<SaId> = list.iter().map(|sa| sa.params.id()).collect();
    let ike_sas = node.endpoint.ike_sas();
    if let Some(ike) = ike_sas.iter().find(|ike| ike.children.len() > MAX_CHILDREN * flows) {
        return Err(format!("node {} has {} Child SAs in one IKE SA", node.index, ike.children.len()));
    }
    let children: Vec<_> = ike_sas.into_iter().flat_map(|ike| ike.children).collect();
    let known: BTreeSet<_> = children
        .iter()
        .flat_map(|child| [(Direction::Inbound, child.inbound), (Direction::Outbound, child.outbound)])
        .collect();
    let found: BTreeSet<_> = installed.iter().map(|id| (id.direction, id.spi)).collect();
    if known != found {
        return Err(format!("node {}: the endpoint knows {known:?}, the engine has {found:?}", node.index));
    }
    if children.is_empty() {
        return Err(format!("node {} has no Child SA", node.index));
    }
    Ok(())
}

/// The SA with the address that the wire knows for the host behind a NAT.
fn on_the_wire(sa: &SaParams, scenario: &Scenario) -> SaParams {
    let mut sa = sa.clone();
    let seen = |address| if address == scenario.hosts[0] { scenario.seen_as(0) } else { address };
    (sa.src, sa.dst) = (seen(sa.src), seen(sa.dst));
    for ts in sa.local_ts.iter_mut().chain(&mut sa.remote_ts) {
        if ts.addresses() == (scenario.hosts[0]..=scenario.hosts[0]) {
            let seen = TrafficSelector::host(scenario.seen_as(0)).with(ts.protocol(), ts.ports());
            *ts = seen.expect("protocol and ports were good with another address");
        }
    }
    sa
}

/// An outbound SA and the inbound SA at the other end of it differ in nothing but their direction.
fn twins(a: &SaParams, b: &SaParams) -> Result<(), String> {
    let different = |what: &str| Err(format!("SPI {}: the ends differ in {what}", a.spi));
    if a.keys.encr.expose() != b.keys.encr.expose() || a.keys.integ.expose() != b.keys.integ.expose() {
        return different("keys");
    }
    if a.suite != b.suite {
        return different("algorithms");
    }
    if (a.src, a.dst, a.mode) != (b.src, b.dst, b.mode) {
        return different("addresses or mode");
    }
    if a.options.ipcomp != b.options.ipcomp {
        return different("the label of compressed packets");
    }
    if a.options.aggfrag.is_some() != b.options.aggfrag.is_some() {
        return different("AGGFRAG payloads");
    }
    if a.pair != b.pair {
        return different("the SPI of the other direction");
    }
    if a.local_ts != b.remote_ts || a.remote_ts != b.local_ts {
        return different("traffic selectors");
    }
    Ok(())
}
