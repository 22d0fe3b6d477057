//! IKE: what is read, sent and read again is the same; what is read has its place in the datagram.

use ravelin_wire::ike::cfg_value::CfgValue;
use ravelin_wire::ike::header::{Header, PayloadType};
use ravelin_wire::ike::svc_params::SvcParams;
use ravelin_wire::ike::v2::{
    Announcement, CfgAttribute, Chain, Message, Notify, NotifyType, Payload, emit, emit_head, parse_chain,
};
use ravelin_wire::limits;

/// A whole datagram.
pub fn message(input: &[u8]) {
    let Ok((header, _)) = Header::parse(input) else {
        assert!(Message::parse(input).is_err(), "a message without a header");
        return;
    };
    let message = match Message::parse(input) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.offset <= input.len(), "the error is outside the datagram");
            return;
        }
    };
    assert_eq!(message.header, header);
    match message.protected {
        None => {
            if let Some(chain) = again(&message.payloads) {
                let parsed = Message::parse(&emit(&header, &chain)).expect("what was emitted is a message");
                assert_eq!(parsed, message);
            }
        }
        Some(protected) => {
            assert!((Header::LEN + 4..=input.len()).contains(&protected.body_at));
            if message.payloads.is_empty() {
                let body = &input[protected.body_at..];
                let mut emitted = emit_head(&header, protected.first, protected.fragment, body.len());
                assert_eq!(emitted.len(), protected.body_at);
                emitted.extend_from_slice(body);
                let mut parsed = Message::parse(&emitted).expect("what was emitted is a message");
                if let (Some(sent), Some(fragment)) = (&mut parsed.protected, protected.fragment)
                    && fragment.number() > 1
                {
                    // What later fragments name as the first payload is ignored, and not sent.
                    assert_eq!(sent.first, PayloadType::NONE);
                    sent.first = protected.first;
                }
                assert_eq!(parsed, message);
            }
        }
    }
}

/// The inside of an Encrypted payload; the first byte is the type of the first payload.
pub fn chain(input: &[u8]) {
    let Some((&first, bytes)) = input.split_first() else { return };
    match parse_chain(PayloadType(first), bytes) {
        Ok(payloads) => drop(again(&payloads)),
        Err(error) => assert!(error.offset <= bytes.len(), "the error is outside the chain"),
    }
}

/// The body of one payload of this type.
pub fn payload(kind: PayloadType, body: &[u8]) {
    let Ok(len) = u16::try_from(body.len() + 4) else { return };
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(body);
    if let Ok(payloads) = parse_chain(kind, &bytes) {
        assert_eq!(payloads.len(), 1);
        assert_eq!(payloads[0].kind(), kind);
        again(&payloads);
    }
}

/// The same for the value of a configuration attribute.
fn value_again(attribute: &CfgAttribute) -> String {
    match CfgValue::parse(attribute.kind, &attribute.value) {
        Ok(Some(value)) => {
            assert_eq!(value.emit(), attribute.value);
            let params = match &value {
                CfgValue::EncryptedDns(resolver) => SvcParams::parse(&resolver.parameters),
                _ => None,
            };
            if let Some(params) = &params {
                assert_eq!(SvcParams::parse(&params.emit()).as_ref(), Some(params));
            }
            let words = params.map(|params| [params.alpn.concat(), params.dohpath.unwrap_or_default()].concat());
            format!("{value:?}{}", words.unwrap_or_default())
        }
        Ok(None) => String::new(),
        Err(bad) => bad.to_string(),
    }
}

/// The same for announced methods of authentication.
fn announced_again(notify: &Notify) -> String {
    let Ok(all) = Announcement::parse_all(&notify.data).collect::<Result<Vec<_>, _>>() else { return String::new() };
    let mut emitted = Vec::new();
    all.iter().for_each(|one| one.emit(&mut emitted));
    assert_eq!(emitted, notify.data);
    all.iter().map(|one| format!("{} {}", one.method, one.link())).collect()
}

/// Emits and reads again what was read. `None`: it cannot be sent.
fn again(payloads: &[Payload]) -> Option<Chain> {
    assert!(payloads.len() <= limits::MAX_PAYLOADS);
    for payload in payloads {
        let shown = match payload {
            Payload::IdI(id) | Payload::IdR(id) => id.identity.to_string(),
            Payload::Sa(sa) => sa.0.iter().map(|offered| offered.proposal.to_string()).collect(),
            Payload::TsI(ts) | Payload::TsR(ts) => ts.usable().map(|selector| selector.to_string()).collect(),
            Payload::Notify(notify) if notify.kind == NotifyType::SUPPORTED_AUTH_METHODS => announced_again(notify),
            Payload::Cfg(cfg) => cfg.attributes.iter().map(value_again).collect(),
            _ => continue,
        };
        assert!(!shown.chars().any(char::is_control), "a peer can write control characters to a log");
    }
    let chain = Chain::new(payloads).ok()?;
    let parsed = parse_chain(chain.first(), chain.bytes()).expect("what was emitted is a chain");
    assert_eq!(parsed, payloads);
    Some(chain)
}
