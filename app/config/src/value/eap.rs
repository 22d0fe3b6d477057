//! Words of EAP: its methods, and servers that know its users.

use std::net::{IpAddr, SocketAddr};

use ravelin_eap::Method;

use ravelin_types::HostName;

use super::host::{Host, Server};
use super::{BadValue, did_you_mean};

/// Methods, best first, by their words.
///
/// # Errors
/// When a word is none.
pub fn methods(text: &str) -> Result<Vec<Method>, BadValue> {
    let mut offset = 0;
    let mut methods = Vec::new();
    for word in text.split(',') {
        let Some(method) = Method::find(word.trim()) else {
            let known = Method::ALL.iter().map(|(_, name)| *name);
            let hint = did_you_mean(&word.trim().to_uppercase(), known.clone());
            let known: Vec<&str> = known.collect();
            return Err(BadValue::at(offset, format!("expected {}{hint}", known.join(", "))));
        };
        offset += word.len() + 1;
        methods.push(method);
    }
    Ok(methods)
}

/// A RADIUS server: its address or name, and its port where that is not 1812 (RFC 2865 §3).
///
/// # Errors
/// When it is neither.
pub fn radius_server(text: &str) -> Result<Server, BadValue> {
    server(text, 1812)
}

/// A RADIUS server that keeps accounts: its address or name, and its port where that is not 1813 (RFC 2866 §3).
///
/// # Errors
/// When it is neither.
pub fn accounting_server(text: &str) -> Result<Server, BadValue> {
    server(text, 1813)
}

fn server(text: &str, port: u16) -> Result<Server, BadValue> {
    if let Ok(at) = text.parse::<SocketAddr>() {
        return Ok(Server { host: at.ip().into(), port: at.port() });
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(Server { host: address.into(), port });
    }
    let (name, port) = match text.split_once(':') {
        None => (text, Ok(port)),
        Some((name, port)) => (name, port.parse()),
    };
    let expected = || BadValue::new("expected an address or the name of a host, and perhaps :PORT".to_owned());
    match (HostName::new(name), port) {
        (Ok(name), Ok(port)) => Ok(Server { host: Host::Name(name), port }),
        _ => Err(expected()),
    }
}

/// A group of users, as a RADIUS server names it.
///
/// # Errors
/// When no attribute can name it (RFC 2865 §5).
pub fn group(text: &str) -> Result<String, BadValue> {
    match text.len() {
        1..=253 => Ok(text.to_owned()),
        _ => Err(BadValue::new("expected the name of a group, of 253 octets at most")),
    }
}

/// Every method, best first, for whoever names none.
pub fn every_method() -> Vec<Method> {
    vec![Method::MsChapV2, Method::Gtc, Method::Md5]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_addresses_or_names() {
        for (text, written) in [
            ("192.0.2.9", "192.0.2.9:1812"),
            ("192.0.2.9:1645", "192.0.2.9:1645"),
            ("fd00::9", "[fd00::9]:1812"),
            ("[fd00::9]:1645", "[fd00::9]:1645"),
            ("aaa.example.org", "aaa.example.org:1812"),
            ("aaa:1645", "aaa:1645"),
        ] {
            let server = radius_server(text).unwrap();
            assert_eq!(server.to_string(), written);
            assert_eq!(radius_server(written), Ok(server));
        }
        for text in ["192.0.2", "aaa:", "aaa:70000", "a b", "", ":1812"] {
            assert!(radius_server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_name_methods() {
        assert_eq!(methods("EAP-MSCHAPv2,eap-md5, gtc").unwrap(), [Method::MsChapV2, Method::Md5, Method::Gtc]);
        let error = methods("EAP-MD5,EAP-MSCHAP2").unwrap_err();
        assert_eq!((error.offset, error.message.contains("did you mean EAP-MSCHAPV2?")), (8, true), "{error:?}");
    }
}
