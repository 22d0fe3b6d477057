//! Reads what `swanctl --raw` prints: `name event {key=value section {..} list=[a b]}`, one message a line.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// A section: its own values, and the sections in it, both by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Values; a list is its items with a space between.
    pub values: BTreeMap<String, String>,
    /// Sections, in the order they came.
    pub sections: Vec<(String, Section)>,
}

/// The body of every message that is called `name` and is an event.
pub fn events(text: &str, name: &str) -> Result<Vec<Section>> {
    let start = format!("{name} event {{");
    let bodies = text.lines().filter_map(|line| line.strip_prefix(&start));
    bodies
        .map(|body| {
            let (section, rest) = section(body).with_context(|| format!("`{body}`"))?;
            if rest.trim().is_empty() { Ok(section) } else { bail!("`{rest}` follows the message") }
        })
        .collect()
}

/// Reads up to and including the section's closing brace.
fn section(mut text: &str) -> Result<(Section, &str)> {
    let mut section = Section::default();
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix('}') {
            return Ok((section, rest));
        }
        let end = text.find(['=', '{', '}']).context("a section that does not end")?;
        let (name, rest) = text.split_at(end);
        let name = name.trim().to_owned();
        if let Some(body) = rest.strip_prefix('{') {
            let (inner, rest) = self::section(body)?;
            section.sections.push((name, inner));
            text = rest;
        } else if let Some(list) = rest.strip_prefix("=[") {
            let (items, rest) = list.split_at(list_end(list).context("a list that does not end")?);
            section.values.insert(name, items.to_owned());
            text = &rest[1..];
        } else {
            let value = rest.strip_prefix('=').context("a name without a value")?;
            let end = value.find([' ', '}']).context("a value that does not end")?;
            section.values.insert(name, value[..end].to_owned());
            text = &value[end..];
        }
    }
}

/// Where the bracket is that closes a list; its items may have brackets of their own, `192.0.2.0/24[tcp/80]`.
fn list_end(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.find(|c| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        depth < 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_sections_values_and_lists() {
        let text = "list-sa event {net {uniqueid=1 state=ESTABLISHED child-sas {net-1 {spi-in=c0ffee local-ts=[10.0.0.0/8[tcp/80] ::/0] a=b}}}}\n\
                    list-sas reply {}\n";
        let events = events(text, "list-sa").unwrap();
        let (name, net) = &events[0].sections[0];
        assert_eq!((name.as_str(), net.values["state"].as_str()), ("net", "ESTABLISHED"));
        let child = &net.sections[0].1.sections[0].1;
        assert_eq!(child.values["local-ts"], "10.0.0.0/8[tcp/80] ::/0");
        assert_eq!(child.values["a"], "b");
        assert_eq!(child.values["spi-in"], "c0ffee");
    }

    #[test]
    fn a_cut_message_is_an_error() {
        assert!(events("list-sa event {net {a=1", "list-sa").is_err());
    }
}
