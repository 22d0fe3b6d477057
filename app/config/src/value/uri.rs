//! Places that HTTP reaches.

use ravelin_pki::Lookup;

use super::BadValue;

/// What is asked there; another scheme is an error, rather than an answer that never comes.
///
/// # Errors
/// What was expected.
pub fn http(text: &str) -> Result<String, BadValue> {
    let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let host = scheme.map(|scheme| text[scheme.len()..].split(['/', '?', '#']).next().unwrap_or_default());
    let named = host.is_some_and(|host| !host.is_empty() && !host.contains('@'));
    match named && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err(BadValue::new(format!("`{text}` is not asked: expected http://HOST/PATH"))),
    }
}

/// Where certificates of peers are looked up: `anywhere`, or under a URL that ends with a slash, so that it is of one host and
/// one folder.
///
/// # Errors
/// What was expected.
pub fn lookup(text: &str) -> Result<Lookup, BadValue> {
    match text {
        "anywhere" => Ok(Lookup::Anywhere),
        url if http(url).is_ok() && url.ends_with('/') && !url.contains(['?', '#']) => {
            Ok(Lookup::Under(vec![url.to_owned()]))
        }
        _ => Err(BadValue::new(format!("`{text}`: expected anywhere or http://HOST/PATH/ with a slash at its end"))),
    }
}

/// All of these places together.
pub fn lookups(all: impl IntoIterator<Item = Lookup>) -> Lookup {
    all.into_iter().fold(Lookup::Never, |sum, more| match (sum, more) {
        (Lookup::Anywhere, _) | (_, Lookup::Anywhere) => Lookup::Anywhere,
        (sum, Lookup::Never) => sum,
        (Lookup::Under(bases), Lookup::Under(more)) => Lookup::Under([bases, more].concat()),
        (Lookup::Never, more) => more,
    })
}

/// The words of it, each as [`lookup`] reads it.
pub fn lookup_words(lookup: &Lookup) -> Vec<String> {
    match lookup {
        Lookup::Never => Vec::new(),
        Lookup::Anywhere => vec!["anywhere".to_owned()],
        Lookup::Under(bases) => bases.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_of_http_and_of_one_host() {
        for url in ["http://a/", "HTTP://a:8080/certs?x=1"] {
            assert_eq!(http(url).unwrap(), url);
        }
        for url in ["https://a/", "http://", "http:///x", "ftp://a/", "http://u@a/", "http://a/\u{e9}", "http://a/ b"] {
            assert!(http(url).is_err(), "{url}");
        }
        // What does not end with a slash could be the beginning of another host's name.
        for url in ["http://a", "http://a/certs", "http://a/?x=/", "https://a/", "yes"] {
            assert!(lookup(url).is_err(), "{url}");
        }
        let all = lookups(["http://a/", "http://b/c/"].map(|url| lookup(url).unwrap()));
        assert!(all.permits("http://a/x") && all.permits("http://b/c/x") && !all.permits("http://b/x"));
        assert!(!all.permits("http://a.example.org/x"));
        assert_eq!(lookups(lookup_words(&all).iter().map(|word| lookup(word).unwrap())), all);
        assert_eq!(lookups([all, Lookup::Anywhere]), Lookup::Anywhere);
        assert_eq!(lookups([]), Lookup::Never);
    }
}
