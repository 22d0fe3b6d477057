//! Connections that say the same of their peer are one connection with a child each, as strongSwan has them: their Child SAs share
//! an IKE SA, and whoever answers finds all of them.

use crate::swanctl::tree::{Named, Section};

/// The section of the children.
const CHILDREN: &str = "children";

/// Adds a connection to `all`, or its child to one that says the same of the peer.
pub(super) fn join(all: &mut Section, mut connection: Named) {
    let asks = connection.section.sections.iter().any(|inner| inner.name != CHILDREN);
    let same = all.sections.iter_mut().find(|known| asks && says_the_same(&known.section, &connection.section));
    let children = same.and_then(|known| children(&mut known.section)).zip(children(&mut connection.section));
    match children {
        Some((known, own)) => known.sections.append(&mut own.sections),
        None => all.sections.push(connection),
    }
}

fn children(connection: &mut Section) -> Option<&mut Section> {
    connection.sections.iter_mut().find(|inner| inner.name == CHILDREN).map(|inner| &mut inner.section)
}

/// Whether two sections differ in nothing but in their children, and in where they stand.
fn says_the_same(one: &Section, other: &Section) -> bool {
    one.settings.len() == other.settings.len()
        && one.sections.len() == other.sections.len()
        && one
            .settings
            .iter()
            .all(|setting| other.setting(&setting.name).is_some_and(|found| found.values == setting.values))
        && one.sections.iter().all(|inner| {
            let found = other.section(&inner.name);
            found.is_some_and(|found| inner.name == CHILDREN || says_the_same(&inner.section, &found.section))
        })
}
