//! Which selectors of an SA come from the packet that asks for it.

use ravelin_types::pfp::Pfp;

use super::{BadValue, did_you_mean};

const WORDS: [&str; 6] = ["local", "remote", "protocol", "local-port", "remote-port", "all"];

/// A list of [`WORDS`].
///
/// # Errors
/// When a word is none of them.
pub fn list(text: &str) -> Result<Pfp, BadValue> {
    let mut pfp = Pfp::NONE;
    let mut offset = 0;
    for word in text.split(',') {
        match word.to_ascii_lowercase().as_str() {
            "local" => pfp.local = true,
            "remote" => pfp.remote = true,
            "protocol" => pfp.protocol = true,
            "local-port" => pfp.local_port = true,
            "remote-port" => pfp.remote_port = true,
            "all" => pfp = Pfp::ALL,
            _ => {
                let expected = format!("expected a list of {}{}", WORDS.join(", "), did_you_mean(word, WORDS));
                return Err(BadValue::at(offset, expected));
            }
        }
        offset += word.len() + 1;
    }
    Ok(pfp)
}

/// The words for what is set, as [`list`] reads them; empty for nothing.
pub fn words(pfp: Pfp) -> String {
    if pfp == Pfp::ALL {
        return "all".to_owned();
    }
    let set = [pfp.local, pfp.remote, pfp.protocol, pfp.local_port, pfp.remote_port];
    let words: Vec<&str> = set.iter().zip(WORDS).filter(|(set, _)| **set).map(|(_, word)| word).collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_read_as_it_is_written() {
        for bits in 0..32u8 {
            let on = |bit: u8| bits >> bit & 1 == 1;
            let pfp = Pfp { local: on(0), remote: on(1), protocol: on(2), local_port: on(3), remote_port: on(4) };
            if pfp.any() {
                assert_eq!(list(&words(pfp)), Ok(pfp));
            }
        }
        assert_eq!(list("All").unwrap(), Pfp::ALL);
        let bad = list("local,remot").unwrap_err();
        assert_eq!(bad.offset, 6);
        assert!(bad.message.ends_with("did you mean remote?"), "{}", bad.message);
        assert!(list("").is_err());
    }
}
