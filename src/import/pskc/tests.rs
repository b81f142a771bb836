use proptest::prelude::*;

use super::*;
use crate::import::tokens::Opener;

/// RFC 6030 section 5 and 6.1, figures 3, 6 and 7 in content: the same keys, devices and protection.
const PLAIN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<pskc:KeyContainer Version="1.0" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc">
  <pskc:KeyPackage>
    <pskc:DeviceInfo>
      <pskc:Manufacturer>Manufacturer</pskc:Manufacturer>
      <pskc:SerialNo>987654321</pskc:SerialNo>
      <pskc:UserId>UID=jsmith,DC=example,DC=net</pskc:UserId>
    </pskc:DeviceInfo>
    <pskc:Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
      <pskc:AlgorithmParameters><pskc:ResponseFormat Length="8" Encoding="DECIMAL"/></pskc:AlgorithmParameters>
      <pskc:Data>
        <pskc:Secret><pskc:PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</pskc:PlainValue></pskc:Secret>
        <pskc:Counter><pskc:PlainValue>7</pskc:PlainValue></pskc:Counter>
      </pskc:Data>
    </pskc:Key>
  </pskc:KeyPackage>
  <pskc:KeyPackage>
    <pskc:DeviceInfo><pskc:SerialNo>1&amp;2</pskc:SerialNo></pskc:DeviceInfo>
    <pskc:Key Id="t" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
      <pskc:AlgorithmParameters><pskc:Suite>HMAC-SHA256</pskc:Suite>
        <pskc:ResponseFormat Length="6" Encoding="DECIMAL"/></pskc:AlgorithmParameters>
      <pskc:Data>
        <pskc:Secret><pskc:PlainValue>
          MTIzNDU2Nzg5MDEy
          MzQ1Njc4OTA=</pskc:PlainValue></pskc:Secret>
        <pskc:TimeInterval><pskc:PlainValue>60</pskc:PlainValue></pskc:TimeInterval>
      </pskc:Data>
    </pskc:Key>
  </pskc:KeyPackage>
</pskc:KeyContainer>"#;

fn locked(method: &str, mac_key: &str, value: &str, mac: &str) -> String {
    format!(
        r##"<KeyContainer xmlns="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">
        <EncryptionKey>{method}</EncryptionKey>
        <MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"><MACKey>
          <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
          <xenc:CipherData><xenc:CipherValue>{mac_key}</xenc:CipherValue></xenc:CipherData></MACKey></MACMethod>
        <KeyPackage><DeviceInfo><SerialNo>987654321</SerialNo></DeviceInfo>
          <Key Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
            <AlgorithmParameters><ResponseFormat Length="8" Encoding="DECIMAL"/></AlgorithmParameters>
            <Data><Secret><EncryptedValue>
              <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
              <xenc:CipherData><xenc:CipherValue>{value}</xenc:CipherValue></xenc:CipherData></EncryptedValue>
              <ValueMAC>{mac}</ValueMAC></Secret><Counter><PlainValue>0</PlainValue></Counter></Data>
          </Key></KeyPackage></KeyContainer>"##
    )
}

/// RFC 6030 section 6.1, figure 6: key 12345678901234567890123456789012 in hexadecimal digits.
fn under_a_key() -> String {
    locked(
        "<KeyName>Pre-shared-key</KeyName>",
        "ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX",
        "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv",
        "Su+NvtQfmvfJzF6bmQiJqoLRExc=",
    )
}

fn key(octets: &[u8]) -> Opener {
    Opener { key: Some(Secret::new(octets.to_vec())), passphrase: None }
}

const RFC_KEY: [u8; 16] =
    [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12];

#[test]
fn keys_in_the_clear_are_read() {
    let file = read(PLAIN, &Opener::default()).unwrap();
    assert!(file.bad.is_empty(), "{:?}", file.bad);
    let [counter, time] = &file.tokens[..] else { panic!("{file:?}") };
    assert_eq!((counter.serial.as_str(), counter.digits), ("987654321", 8));
    assert_eq!(counter.owner.as_deref(), Some("jsmith"));
    assert_eq!(counter.moving, Moving::Counter { next: 7 });
    assert!(counter.seed.matches(b"12345678901234567890"));
    assert_eq!((time.serial.as_str(), time.moving), ("1&2", Moving::Time { period: 60 }));
    assert_eq!(time.algorithm, Algorithm::Sha256);
    assert!(time.seed.matches(b"12345678901234567890"));
    assert_eq!(counter.line, 9);
}

#[test]
fn rfc6030_figure_6_opens_under_its_key_and_under_no_other() {
    let file = read(&under_a_key(), &key(&RFC_KEY)).unwrap();
    assert!(file.bad.is_empty(), "{:?}", file.bad);
    assert!(file.tokens[0].seed.matches(b"12345678901234567890"));
    let without = read(&under_a_key(), &Opener::default()).unwrap();
    assert!(without.tokens.is_empty() && without.bad[0].why.contains("--key-file"), "{:?}", without.bad);
    let mut other = RFC_KEY;
    other[0] ^= 1;
    match read(&under_a_key(), &key(&other)) {
        Ok(file) => assert!(file.tokens.is_empty() && file.bad.len() == 1, "{file:?}"),
        Err(why) => assert!(why.contains("cannot be opened"), "{why}"),
    }
    assert!(read(&under_a_key(), &key(&[7; 5])).unwrap_err().contains("16 octets"));
}

#[test]
fn rfc6030_figure_7_opens_with_its_passphrase() {
    let method = r#"<DerivedKey><KeyDerivationMethod
        Algorithm="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2"><PBKDF2-params>
        <Salt><Specified>Ej7/PEpyEpw=</Specified></Salt><IterationCount>1000</IterationCount>
        <KeyLength>16</KeyLength></PBKDF2-params></KeyDerivationMethod></DerivedKey>"#;
    let text = locked(
        method,
        "2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx",
        "oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f",
        "LP6xMvjtypbfT9PdkJhBZ+D6O4w=",
    );
    let passphrase = |text: &str| Opener { key: None, passphrase: Some(Secret::from_text(text.into())) };
    let file = read(&text, &passphrase("qwerty")).unwrap();
    assert!(file.bad.is_empty(), "{:?}", file.bad);
    assert!(file.tokens[0].seed.matches(b"12345678901234567890"));
    match read(&text, &passphrase("QWERTY")) {
        Ok(file) => assert!(file.tokens.is_empty(), "{file:?}"),
        Err(why) => assert!(why.contains("cannot be opened"), "{why}"),
    }
}

#[test]
fn a_value_that_was_changed_is_not_opened() {
    let spoiled = under_a_key().replace("AAECAwQF", "AAECAwQG");
    let file = read(&spoiled, &key(&RFC_KEY)).unwrap();
    assert!(file.tokens.is_empty() && file.bad[0].why.contains("MAC is wrong"), "{:?}", file.bad);
    let without = under_a_key().replace("<ValueMAC>Su+NvtQfmvfJzF6bmQiJqoLRExc=</ValueMAC>", "");
    let file = read(&without, &key(&RFC_KEY)).unwrap();
    assert!(file.tokens.is_empty() && file.bad[0].why.contains("MAC is missing"), "{:?}", file.bad);
}

#[test]
fn what_is_no_pskc_is_refused_without_showing_it() {
    for (text, says) in [
        ("<a>", "no PSKC"),
        ("<a><b></a>", "well-formed"),
        ("<!DOCTYPE x [<!ENTITY e \"planted\">]><KeyContainer>&e;</KeyContainer>", "DOCTYPE"),
        ("<KeyContainer>&planted;</KeyContainer>", "entity"),
        (&format!("{}{}", "<a>".repeat(40), "</a>".repeat(40)), "within each other"),
    ] {
        let error = read(text, &Opener::default()).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_key_of_another_kind_is_told_by_its_line() {
    let file = read(&PLAIN.replace("pskc:hotp", "pskc:pin"), &Opener::default()).unwrap();
    assert_eq!((file.tokens.len(), file.bad.len()), (1, 1));
    assert_eq!(file.bad[0].line, 9);
    assert!(file.bad[0].why.contains("neither TOTP nor HOTP"), "{}", file.bad[0]);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "(?s).{0,300}", at in 0..PLAIN.len(), piece in "[<>&a-z/\"=]{0,8}") {
        let _ = read(&text, &Opener::default());
        let mut spoiled = PLAIN.to_owned();
        if spoiled.is_char_boundary(at) {
            spoiled.insert_str(at, &piece);
        }
        let _ = read(&spoiled, &Opener::default());
    }
}
