//! Reads what `ravelin ike netstat --json` and `ravelin ipsec netstat --json` print.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Child, Ike, View, plain_spi};

/// The view behind the two listings. They come from two places in the daemon, so an SA that the data plane holds and IKE
/// does not know is an error.
pub fn view(ike: &str, ipsec: &str) -> Result<View> {
    let ike: Value = serde_json::from_str(ike)?;
    let ipsec: Value = serde_json::from_str(ipsec)?;
    let sessions = items(&ipsec, "sas")?;
    let mut view = View::default();
    let mut known = Vec::new();
    for sa in items(&ike, "ike-sas")? {
        if text(sa, "state")? == "ESTABLISHED" {
            let spis = (plain_spi(&text(sa, "initiator-spi")?), plain_spi(&text(sa, "responder-spi")?));
            view.ike.push(Ike { spis: Some(spis), fields: fields(sa) });
        }
        for child in items(sa, "children")? {
            let inbound = text(child, "inbound")?;
            if ["INSTALLED", "REKEYING"].contains(&text(child, "state")?.as_str()) {
                view.children.push(child_sa(child, &sessions)?);
            }
            known.push(inbound);
        }
    }
    for session in sessions {
        let spi = text(session, "spi")?;
        ensure!(known.contains(&spi), "the data plane holds SA {spi}, which no IKE SA knows");
    }
    Ok(view)
}

fn child_sa(child: &Value, sessions: &[&Value]) -> Result<Child> {
    let (inbound, outbound) = (text(child, "inbound")?, text(child, "outbound")?);
    let session = sessions.iter().find(|session| text(session, "spi").is_ok_and(|spi| spi == inbound));
    let session = session.with_context(|| format!("the data plane does not hold SA {inbound}"))?;
    let packets = |direction: &str| -> Result<u64> {
        let sa = session.get(direction).with_context(|| format!("SA {inbound} has no `{direction}`"))?;
        Ok(text(sa, "packets")?.parse()?)
    };
    Ok(Child {
        spi_in: plain_spi(&inbound),
        spi_out: plain_spi(&outbound),
        packets: (packets("inbound")?, packets("outbound")?),
        fields: fields(child),
    })
}

/// The items of a list; nothing there is an empty one.
fn items<'a>(of: &'a Value, name: &str) -> Result<Vec<&'a Value>> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => Ok(list.as_array().with_context(|| format!("`{name}` is no list"))?.iter().collect()),
    }
}

fn text(of: &Value, name: &str) -> Result<String> {
    match of.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => anyhow::bail!("no `{name}` in {of}"),
    }
}

fn fields(of: &Value) -> BTreeMap<String, String> {
    let object = of.as_object().into_iter().flatten();
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        _ => None,
    };
    object.filter_map(|(name, value)| Some((name.clone(), word(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IKE: &str = r#"{"ike-sas": [{"state": "ESTABLISHED", "initiator-spi": "0a", "responder-spi": "b",
        "children": [{"state": "INSTALLED", "inbound": "01020304", "outbound": "0x5"}]}]}"#;

    #[test]
    fn both_listings_make_one_view() {
        let ipsec = r#"{"sas": [{"spi": "01020304", "inbound": {"packets": 3}, "outbound": {"packets": "4"}}]}"#;
        let view = view(IKE, ipsec).unwrap();
        assert_eq!(view.ike[0].spis, Some(("a".to_owned(), "b".to_owned())));
        assert_eq!((view.children[0].spi_in.as_str(), view.children[0].spi_out.as_str()), ("1020304", "5"));
        assert_eq!(view.children[0].packets, (3, 4));
    }

    #[test]
    fn an_sa_that_only_one_of_them_has_is_an_error() {
        assert!(view(IKE, r#"{"sas": []}"#).is_err());
        assert!(view(r#"{"ike-sas": []}"#, r#"{"sas": [{"spi": "1"}]}"#).is_err());
    }
}
