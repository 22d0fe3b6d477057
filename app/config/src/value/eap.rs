//! Words of EAP: its methods, and servers that know its users.

use std::net::{IpAddr, SocketAddr};

use ravelin_eap::Method;

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

/// A RADIUS server: its address, and its port where that is not 1812 (RFC 2865 §3).
///
/// # Errors
/// When it is neither.
pub fn radius_server(text: &str) -> Result<SocketAddr, BadValue> {
    server(text, 1812)
}

/// A RADIUS server that keeps accounts: its address, and its port where that is not 1813 (RFC 2866 §3).
///
/// # Errors
/// When it is neither.
pub fn accounting_server(text: &str) -> Result<SocketAddr, BadValue> {
    server(text, 1813)
}

fn server(text: &str, port: u16) -> Result<SocketAddr, BadValue> {
    let address = || text.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| SocketAddr::new(address, port));
    text.parse().or_else(|_| address()).map_err(|_| BadValue::new("expected an address, or ADDRESS:PORT".to_owned()))
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
    fn words_name_methods() {
        assert_eq!(methods("EAP-MSCHAPv2,eap-md5, gtc").unwrap(), [Method::MsChapV2, Method::Md5, Method::Gtc]);
        let error = methods("EAP-MD5,EAP-MSCHAP2").unwrap_err();
        assert_eq!((error.offset, error.message.contains("did you mean EAP-MSCHAPV2?")), (8, true), "{error:?}");
    }
}
