//! The one door to HTTP servers, and what is not asked there.

use std::net::IpAddr;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How long a server may take in all: a third of what IKE waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The same where somebody who has not proven anything yet sends us.
pub(super) const LESS_PATIENCE: Duration = Duration::from_secs(5);
/// Characters of a place.
pub(super) const MAX_URI: usize = 1024;
/// How often a server may send us elsewhere.
const REDIRECTS: u32 = 2;

/// What is at a place that an authority or the operator names, of up to `limit` octets.
pub(super) fn get(uri: &str, limit: usize) -> Result<Vec<u8>, String> {
    let response = agent(PATIENCE, REDIRECTS).get(uri).call();
    body(response.map_err(|error| error.to_string())?, limit)
}

/// What a server says to this.
pub(super) fn post(uri: &str, kind: &str, what: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let response = agent(PATIENCE, REDIRECTS).post(uri).content_type(kind).send(what);
    body(response.map_err(|error| error.to_string())?, limit)
}

/// What is at a place that a peer names: no server sends us elsewhere from there. `guarded`: nor is it this host or its link,
/// whatever the name resolves to.
pub(super) fn look_up(url: &str, limit: usize, guarded: bool) -> Result<Vec<u8>, String> {
    let agent = match guarded {
        true => ureq::Agent::with_parts(config(LESS_PATIENCE, 0), DefaultConnector::default(), Guard::default()),
        false => agent(LESS_PATIENCE, 0),
    };
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    match response.status().as_u16() {
        200 => body(response, limit),
        other => Err(format!("http status: {other}")),
    }
}

fn agent(patience: Duration, redirects: u32) -> ureq::Agent {
    ureq::Agent::new_with_config(config(patience, redirects))
}

fn config(patience: Duration, redirects: u32) -> Config {
    ureq::Agent::config_builder()
        .timeout_global(Some(patience))
        .max_redirects(redirects)
        .proxy(None)
        .user_agent("ravelin")
        .build()
}

fn body(mut response: ureq::http::Response<ureq::Body>, limit: usize) -> Result<Vec<u8>, String> {
    let body = response.body_mut().with_config().limit(limit as u64);
    body.read_to_vec().map_err(|error| error.to_string())
}

/// Host and port of a place that HTTP reaches.
pub(super) fn server(uri: &str) -> Option<&str> {
    let scheme = uri.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"))?;
    let rest = &uri[scheme.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // Names and passwords are of no use there, and a way to mislead whoever reads the log.
    Some(&rest[..end]).filter(|name| !name.is_empty() && !name.contains('@'))
}

/// Resolves names to addresses at which a stranger may have us ask.
#[derive(Debug, Default)]
struct Guard(DefaultResolver);

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.0.resolve(uri, config, timeout)?;
        match found.iter().all(|address| is_elsewhere(address.ip())) {
            true => Ok(found),
            false => Err(ureq::Error::BadUri("a peer names an address of this host or of its link".into())),
        }
    }
}

/// Whether it is an address of another host, behind some router or none, and no more than one host.
pub(super) fn is_elsewhere(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(it) => {
            let [first, ..] = it.octets();
            first != 0 && !it.is_loopback() && !it.is_link_local() && !it.is_multicast() && !it.is_broadcast()
        }
        IpAddr::V6(it) => {
            !it.is_unspecified() && !it.is_loopback() && !it.is_unicast_link_local() && !it.is_multicast()
        }
    }
}
