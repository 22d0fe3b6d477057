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
    assert_eq!(pfs_list("ECP256,KE1_ML-KEM-768").map(|list| list.len()), Ok(2));
}

// RFC 7296 §5.
#[test]
fn what_does_not_encrypt_is_refused_for_ike() {
    let error = ike_encr_list("AES128-GCM,NULL_ENC").unwrap_err();
    assert_eq!(error.offset, 11);
    assert!(error.message.contains("NULL_ENC is refused") && error.message.contains("AES128-GCM"), "{error}");
    assert!(ike_encr_list("AES128-GMAC").is_err() && ike_encr_list("AES128-GCM-IIV").is_err());
    assert!(ike_integ_list("AES128-GMAC").is_err());
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
    let encr = encr_list("3DES-CBC,DES,null_enc,AES128-GMAC,AES256-GMAC").unwrap();
    let integ = integ_list("MD5,AES-XCBC").unwrap();
    let named = proposals(ProtocolId::ESP, &encr, &integ, &[]);
    let told = weaknesses(named.iter().flat_map(|proposal| &proposal.transforms));
    let names: Vec<&str> = told.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(names, ["3DES-CBC", "DES-CBC", "NULL_ENC", "HMAC-MD5", "AES128-GMAC"]);
    assert!(told[0].contains("SHOULD NOT") && told[1].contains("MUST NOT") && told[3].contains("MUST NOT"));
    let default = proposals(ProtocolId::ESP, DEFAULT_ENCR, DEFAULT_INTEG, &[]);
    assert!(weaknesses(default.iter().flat_map(|proposal| &proposal.transforms)).is_empty());
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
    for (id, spellings) in names::INTEG.iter().chain(names::AH_INTEG) {
        for name in spellings.iter().copied().chain([id.to_string().as_str()]) {
            assert_eq!(integ_list(name), Ok(vec![*id]), "{name}");
        }
    }
    for (id, spellings) in names::PRF {
        for name in spellings.iter().copied().chain([id.to_string().as_str()]) {
            assert_eq!(prf_list(name), Ok(vec![*id]), "{name}");
        }
    }
    for (id, spellings) in names::KE {
        for name in spellings.iter().copied().chain([id.to_string().as_str()]) {
            assert_eq!(ke_list(name), Ok(vec![*id]), "{name}");
        }
    }
}

// What document 003 lists for IKEv2, and the words of strongSwan for the same.
#[test]
fn names_of_ike() {
    let groups = "MODP768,MODP1024,MODP1536,MODP2048,MODP3072,MODP4096,MODP6144,MODP8192";
    assert_eq!(ke_list(groups), Ok([1, 2, 5, 14, 15, 16, 17, 18].map(KeMethod).to_vec()));
    let others = "modp1024s160,modp2048s224,modp2048s256,ecp192,ecp224,ecp224bp,ecp256bp,ecp384bp,ecp512bp,x25519,x448";
    assert_eq!(ke_list(others), Ok([22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32].map(KeMethod).to_vec()));
    let ciphers = "3DES-CBC,aes192,aes128ctr,aes256gcm96,aes192gcm8,aes256ccm128,camellia256,chacha20poly1305,des";
    assert_eq!(ike_encr_list(ciphers).unwrap().len(), 9);
    assert_eq!(ike_integ_list("HMAC-MD5,sha2_256,aesxcbc,aescmac").unwrap().len(), 4);
    assert_eq!(prf_list("HMAC-MD5,prfsha1,prfaesxcbc,prfaescmac,prfsha512").unwrap().len(), 5);
}

// RFC 9370.
#[test]
fn additional_key_exchanges_by_number() {
    let [first, seventh] = [1, 7].map(|number| Additional::new(number).unwrap());
    assert_eq!(
        ke_transforms("x25519,ke1_mlkem768,KE1_NONE,ke7_x448"),
        Ok(vec![
            Transform::Ke(KeMethod::CURVE25519),
            Transform::AddKe(first, KeMethod::ML_KEM_768),
            Transform::AddKe(first, KeMethod::NONE),
            Transform::AddKe(seventh, KeMethod::CURVE448),
        ])
    );
    assert_eq!(ke_transforms("ECP256,KE1_MLKEM76").unwrap_err().offset, 11);
    for bad in ["ke1_mlkem768", "x25519,ke8_mlkem768", "x25519,ke0_x448", "x25519,x25519", "ke1_", ""] {
        assert!(ke_transforms(bad).is_err(), "{bad}");
    }
    let [hybrid, plain] = default_ke();
    assert_eq!(hybrid.last(), Some(&Transform::AddKe(first, KeMethod::ML_KEM_768)));
    assert_eq!(hybrid[..plain.len()], plain);
}

// RFC 8247 §2.
#[test]
fn weak_groups_and_functions_are_told_of_and_no_default() {
    let (prf, ke) = (prf_list("MD5,SHA256").unwrap(), ke_list("MODP768,MODP2048,MODP1024S160,ECP192").unwrap());
    let first = Additional::new(1).unwrap();
    let ke = ke.iter().map(|id| Transform::Ke(*id)).chain([Transform::AddKe(first, KeMethod::MODP768)]);
    let named: Vec<Transform> = prf.iter().map(|id| Transform::Prf(*id)).chain(ke).collect();
    let told = weaknesses(&named);
    let names: Vec<&str> = told.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(names, ["PRF HMAC-MD5", "MODP768", "MODP1024-S160", "ECP192"]);
    assert!(names::KE.iter().all(|(id, _)| names::ke_warning(*id).is_some() == id.is_weak()));
    assert!(DEFAULT_KE.iter().all(|id| !id.is_weak()) && !DEFAULT_PRF.contains(&PrfId::HMAC_MD5));
}
