//! Connections that say the same of their peer are one connection with a child each, as strongSwan has them: their Child SAs share
//! an IKE SA, and whoever answers finds all of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::swanctl::tree::{Named, Section};

/// The section of the children.
const CHILDREN: &str = "children";

/// Where the connections are that ask something of a peer, by what they say: there may be very many.
pub(super) type Known = BTreeMap<String, usize>;

/// Adds a connection to `all`, or its child to one that says the same of the peer.
pub(super) fn join(all: &mut Section, known: &mut Known, mut connection: Named) {
    let asks = connection.section.sections.iter().any(|inner| inner.name != CHILDREN);
    let same = match known.entry(said(&connection.section)) {
        Entry::Occupied(same) if asks => all.sections.get_mut(*same.get()),
        Entry::Vacant(own) if asks => {
            own.insert(all.sections.len());
            None
        }
        _ => None,
    };
    let children = same.and_then(|same| children(&mut same.section)).zip(children(&mut connection.section));
    match children {
        Some((same, own)) => same.sections.append(&mut own.sections),
        None => all.sections.push(connection),
    }
}

fn children(connection: &mut Section) -> Option<&mut Section> {
    connection.sections.iter_mut().find(|inner| inner.name == CHILDREN).map(|inner| &mut inner.section)
}

/// What a section says, but for its children, and for where it stands.
fn said(section: &Section) -> String {
    let mut settings: Vec<_> = section.settings.iter().map(|setting| (&setting.name, &setting.values)).collect();
    settings.sort_by_key(|(name, _)| *name);
    let inner = section.sections.iter().filter(|inner| inner.name != CHILDREN);
    let mut inner: Vec<_> = inner.map(|inner| (&inner.name, said(&inner.section))).collect();
    inner.sort();
    format!("{settings:?}{inner:?}")
}
