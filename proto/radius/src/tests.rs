//! Packets that were published, and such as must not pass.

use alloc::vec;
use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use ravelin_types::Secret;

use crate::*;

const REQUEST: [u8; 16] = [7; 16];

fn secret() -> Secret {
    Secret::from(&b"testing123"[..])
}

/// A reply as a server makes it; `proof`: with a Message-Authenticator.
fn answer(code: Code, attributes: &[(u8, &[u8])], proof: bool) -> Vec<u8> {
    let mut body: Vec<u8> = if proof { [&[80, 18][..], &[0; 16]].concat() } else { Vec::new() };
    for (kind, value) in attributes {
        body.extend_from_slice(&[*kind, value.len() as u8 + 2]);
        body.extend_from_slice(value);
    }
    let mut packet = vec![code.0, 5, 0, 0];
    packet[2..4].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
    packet.extend_from_slice(&REQUEST);
    packet.extend_from_slice(&body);
    if proof {
        let mac = Hmac::<Md5>::new_from_slice(secret().expose()).unwrap().chain_update(&packet).finalize();
        packet[22..38].copy_from_slice(&mac.into_bytes());
    }
    let response: [u8; 16] = Md5::new().chain_update(&packet).chain_update(secret().expose()).finalize().into();
    packet[4..20].copy_from_slice(&response);
    packet
}

// RFC 2865 §7.1: an example has no Message-Authenticator, so its reply is not taken, but it is not a forged one.
#[test]
fn the_published_reply_is_by_the_secret_and_without_the_second_proof() {
    let request = *b"\x0f\x40\x3f\x94\x73\x97\x80\x57\xbd\x83\xd5\xcb\x98\xf4\x22\x7a";
    let reply = [
        0x02, 0x00, 0x00, 0x26, 0x86, 0xfe, 0x22, 0x0e, 0x76, 0x24, 0xba, 0x2a, 0x10, 0x05, 0xf6, 0xbf, 0x9b, 0x55,
        0xe0, 0xb2, 0x06, 0x06, 0x00, 0x00, 0x00, 0x01, 0x0f, 0x06, 0x00, 0x00, 0x00, 0x00, 0x0e, 0x06, 0xc0, 0xa8,
        0x01, 0x03,
    ];
    let shared = Secret::from(&b"xyzzy5461"[..]);
    assert_eq!(super::reply(&reply, 0, &request, &shared), Err(Fault::Unproven));
    assert_eq!(super::reply(&reply, 0, &request, &secret()), Err(Fault::Forged));
    assert_eq!(super::reply(&reply, 2, &request, &shared), Err(Fault::Other));
}

#[test]
fn a_request_is_proven_and_an_answer_is_read() {
    let mut request = Request::default();
    request.add(Attribute::USER_NAME, b"carol");
    request.add_eap(&[9; 600]);
    let sealed = request.seal(5, &REQUEST, &secret()).unwrap();
    let packet = Packet::parse(&sealed).unwrap();
    assert_eq!((packet.code, packet.identifier, packet.authenticator), (Code::ACCESS_REQUEST, 5, REQUEST));
    assert_eq!((packet.attributes[0].0, packet.eap().unwrap()), (Attribute::MESSAGE_AUTHENTICATOR, vec![9; 600]));
    let mut zeroed = sealed.clone();
    zeroed[22..38].fill(0);
    let mac = Hmac::<Md5>::new_from_slice(secret().expose()).unwrap().chain_update(&zeroed).finalize();
    assert_eq!(packet.first(Attribute::MESSAGE_AUTHENTICATOR), Some(mac.into_bytes().as_slice()));
    // Longer than a packet can be.
    request.add_eap(&[9; 4000]);
    assert_eq!(request.seal(5, &REQUEST, &secret()), None);

    let said = answer(Code::ACCESS_CHALLENGE, &[(79, &[1, 2]), (24, b"state"), (79, &[3])], true);
    let read = reply(&said, 5, &REQUEST, &secret()).unwrap();
    assert_eq!(
        (read.code, read.eap(), read.first(Attribute::STATE)),
        (Code::ACCESS_CHALLENGE, Some(vec![1, 2, 3]), Some(&b"state"[..]))
    );
}

// CVE-2024-3596: whoever is on the way can make a Response Authenticator fit, but no Message-Authenticator.
#[test]
fn an_accept_without_a_message_authenticator_is_not_taken() {
    let forged = answer(Code::ACCESS_ACCEPT, &[(79, &[3, 1, 0, 4])], false);
    assert_eq!(reply(&forged, 5, &REQUEST, &secret()), Err(Fault::Unproven));
    // The proof of the server's Reject does not make an Accept.
    let mut turned = answer(Code::ACCESS_REJECT, &[(79, &[4, 1, 0, 4])], true);
    turned[0] = Code::ACCESS_ACCEPT.0;
    turned[4..20].copy_from_slice(&REQUEST);
    let response: [u8; 16] = Md5::new().chain_update(&turned).chain_update(secret().expose()).finalize().into();
    turned[4..20].copy_from_slice(&response);
    assert_eq!(reply(&turned, 5, &REQUEST, &secret()), Err(Fault::Forged));
}

#[test]
fn every_damage_is_found() {
    let good = answer(Code::ACCESS_ACCEPT, &[(79, &[3, 1, 0, 4]), (1, b"carol")], true);
    assert!(reply(&good, 5, &REQUEST, &secret()).is_ok());
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        assert!(reply(&damaged, 5, &REQUEST, &secret()).is_err(), "octet {at}");
        assert!(reply(&good[..at], 5, &REQUEST, &secret()).is_err(), "{at} octets");
    }
}

// The class of CVE-2026-35333: attributes of a length of 0, 1, or beyond the packet.
#[test]
fn attributes_whose_lengths_lie_are_malformed() {
    let packet = |attributes: &[u8]| {
        let mut packet = vec![2, 5, 0, 20 + attributes.len() as u8];
        packet.extend_from_slice(&REQUEST);
        packet.extend_from_slice(attributes);
        Packet::parse(&packet)
    };
    assert!(packet(&[1, 2]).is_ok() && packet(&[1, 3, 9, 1, 2]).is_ok());
    for bad in [&[1][..], &[1, 0], &[1, 1], &[1, 3], &[1, 255, 1], &[1, 2, 1], &[1, 3, 9, 80, 0]] {
        assert_eq!(packet(bad), Err(Fault::Malformed), "{bad:?}");
    }
    for length in [0u16, 19, 21, 4097, 0xffff] {
        let mut bytes = [&[2, 5][..], &length.to_be_bytes(), &REQUEST].concat();
        assert_eq!(Packet::parse(&bytes), Err(Fault::Malformed));
        bytes.truncate(3);
        assert_eq!(Packet::parse(&bytes), Err(Fault::Malformed));
    }
}

/// Hides a key as a server does (RFC 2548 §2.4.2).
fn hide(kind: u8, key: &[u8], length: u8) -> Vec<u8> {
    let mut plain = [&[length][..], key].concat();
    plain.resize(plain.len().next_multiple_of(16), 0);
    let salt = [0x80, kind];
    let (mut hidden, mut before) = (Vec::new(), [REQUEST.as_slice(), &salt].concat());
    for block in plain.chunks(16) {
        let pad = Md5::new().chain_update(secret().expose()).chain_update(&before).finalize();
        before = block.iter().zip(pad).map(|(octet, pad)| octet ^ pad).collect();
        hidden.extend_from_slice(&before);
    }
    [&[0, 0, 1, 55, kind, hidden.len() as u8 + 4][..], &salt, &hidden].concat()
}

#[test]
fn keys_are_taken_out_and_damaged_ones_are_not() {
    let read = |recv: &[u8], send: &[u8]| {
        let said = answer(Code::ACCESS_ACCEPT, &[(26, recv), (26, send)], true);
        msk(&reply(&said, 5, &REQUEST, &secret()).unwrap(), &REQUEST, &secret())
    };
    let whole = read(&hide(17, &[1; 32], 32), &hide(16, &[2; 32], 32)).unwrap();
    assert_eq!(whole.expose(), [[1; 32], [2; 32]].concat());
    // Those of MSCHAPv2 are short.
    let short = read(&hide(17, &[1; 16], 16), &hide(16, &[2; 16], 16)).unwrap();
    assert_eq!(short.expose(), [&[1; 16][..], &[2; 16], &[0; 32]].concat());
    for (recv, send) in [
        (hide(17, &[1; 32], 0), hide(16, &[2; 32], 32)),
        (hide(17, &[1; 32], 255), hide(16, &[2; 32], 32)),
        (hide(17, &[1; 32], 32)[..9].to_vec(), hide(16, &[2; 32], 32)),
        (hide(17, &[1; 32], 32), vec![0, 0, 1, 55, 16, 0]),
        (hide(17, &[1; 32], 32), vec![0, 0, 1, 55, 16, 4, 1, 2]),
        (hide(17, &[1; 32], 32), vec![0, 0, 1]),
    ] {
        assert!(read(&recv, &send).is_none());
    }
}

// RFC 2866 §3: the authenticator of an Accounting-Request proves it, and that of its response both.
#[test]
fn a_record_and_its_acknowledgement_prove_themselves() {
    let mut record = Request::default();
    record.add_number(Attribute::ACCT_STATUS_TYPE, 1);
    let (sealed, authenticator) = record.seal_account(5, &secret()).unwrap();
    let read = super::request(&sealed, &secret()).unwrap();
    assert_eq!((read.code, read.authenticator), (Code::ACCOUNTING_REQUEST, authenticator));
    assert_eq!(read.number(Attribute::ACCT_STATUS_TYPE), Some(1));
    assert_eq!(super::request(&sealed, &Secret::from(&b"other"[..])), Err(Fault::Forged));
    let mut said = vec![Code::ACCOUNTING_RESPONSE.0, 5, 0, 20];
    said.extend_from_slice(&authenticator);
    let proof: [u8; 16] = Md5::new().chain_update(&said).chain_update(secret().expose()).finalize().into();
    said[4..20].copy_from_slice(&proof);
    assert!(acknowledgement(&said, 5, &authenticator, &secret()).is_ok());
    assert_eq!(acknowledgement(&said, 6, &authenticator, &secret()), Err(Fault::Other));
    assert_eq!(acknowledgement(&said, 5, &[0; 16], &secret()), Err(Fault::Forged));
    // Only what is the answer to a record takes it off.
    let accept = answer(Code::ACCESS_ACCEPT, &[], false);
    assert_eq!(acknowledgement(&accept, 5, &REQUEST, &secret()), Err(Fault::Other));
    record.add_eap(&[9; 4070]);
    assert!(record.seal_account(5, &secret()).is_none());
}
