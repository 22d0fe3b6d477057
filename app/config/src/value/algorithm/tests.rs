use super::*;

#[test]
fn original_and_modern_names_in_any_case() {
    assert_eq!(
        encr_list("aes128-gcm,AES256-CBC,ChaCha20-Poly1305"),
        Ok(vec![(EncrId::AES_GCM_16, Some(128)), (EncrId::AES_CBC, Some(256)), (EncrId::CHACHA20_POLY1305, None)])
    );
    assert_eq!(integ_list("HMAC-SHA-1"), Ok(vec![IntegId::HMAC_SHA1_96]));
    assert_eq!(ke_list("curve25519,MODP2048"), Ok(vec![KeMethod::CURVE25519, KeMethod::MODP2048]));
    assert_eq!(pfs_list("none"), Ok(vec![]));
}

#[test]
fn weak_names_are_refused_for_ike_with_an_alternative() {
    let error = ike_encr_list("AES128-GCM,3DES-CBC").unwrap_err();
    assert_eq!(error.offset, 11);
    assert!(error.message.contains("3DES-CBC is refused") && error.message.contains("AES128-GCM"), "{error}");
    for (text, list) in [("MODP768", ke_list as fn(&str) -> _), ("MODP1536", ke_list), ("MODP8192", ke_list)] {
        let error: BadValue = list(text).unwrap_err();
        assert!(error.message.contains("use CURVE25519"), "{error}");
    }
    assert!(ike_integ_list("md5").unwrap_err().message.contains("use HMAC-SHA-2-256"));
    assert!(ike_encr_list("NULL_ENC").is_err() && ike_encr_list("AES128-CCM").is_err());
}

#[test]
fn a_misspelt_name_is_located() {
    let error = ke_list("ECP256,CURVE25518").unwrap_err();
    assert_eq!(error.offset, 7);
    assert!(error.message.ends_with("did you mean CURVE25519?"), "{error}");
    assert!(encr_list("").is_err());
    assert!(encr_list("AES128-GCM,AES128GCM16").unwrap_err().message.contains("twice"));
}

#[test]
fn a_mixed_list_becomes_proposals_in_its_order() {
    let sn = [Transform::Sn(SnId::SEQUENTIAL_32)];
    let encr = encr_list("AES128-CBC,AES128-GCM,AES256-GCM").unwrap();
    let text: Vec<String> =
        proposals(ProtocolId::ESP, &encr, &[IntegId::HMAC_SHA1_96], &sn).iter().map(ToString::to_string).collect();
    assert_eq!(text, ["ESP: AES128-CBC, HMAC-SHA-1, NO-ESN", "ESP: AES128-GCM, AES256-GCM, NO-ESN"]);
}

#[test]
fn every_default_has_a_name() {
    for (id, bits) in DEFAULT_ENCR {
        assert_eq!(encr_list(&encr_name(*id, *bits)), Ok(vec![(*id, *bits)]));
    }
    assert!(DEFAULT_INTEG.iter().all(|id| integ_list(&id.to_string()) == Ok(vec![*id])));
    assert!(DEFAULT_PRF.iter().all(|id| prf_list(&id.to_string()) == Ok(vec![*id])));
    assert!(DEFAULT_KE.iter().all(|id| ke_list(&id.to_string()) == Ok(vec![*id])));
}

// RFC 8221 §5, §6.
#[test]
fn legacy_is_for_those_who_name_it() {
    let (encr, integ) = (encr_list("3DES-CBC,DES,null_enc,AES128-GMAC,AES256-GMAC"), integ_list("MD5,AES-XCBC"));
    let warnings = warnings(&encr.unwrap(), &integ.unwrap());
    let names: Vec<&str> = warnings.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(names, ["3DES-CBC", "DES-CBC", "NULL_ENC", "AES128-GMAC", "HMAC-MD5"]);
    assert!(warnings[0].contains("SHOULD NOT") && warnings[1].contains("MUST NOT") && warnings[4].contains("MUST NOT"));
    assert!(super::warnings(DEFAULT_ENCR, DEFAULT_INTEG).is_empty());
}

#[test]
fn every_name_is_read_and_shown() {
    let rows = names::ENCR.iter().chain(names::ESP_ENCR);
    for ((id, bits), spellings) in rows {
        assert_eq!(encr_name(*id, *bits), spellings[0]);
        // What a report shows can be written.
        let shown = Transform::Encr(*id, *bits).to_string();
        for name in spellings.iter().copied().chain([shown.as_str()]) {
            assert_eq!(encr_list(name), Ok(vec![(*id, *bits)]), "{name}");
        }
    }
    for (id, spellings) in names::INTEG.iter().chain(names::PACKET_INTEG) {
        for name in spellings.iter().copied().chain([id.to_string().as_str()]) {
            assert_eq!(integ_list(name), Ok(vec![*id]), "{name}");
        }
    }
}
