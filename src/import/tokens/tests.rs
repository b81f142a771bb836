use proptest::prelude::*;

use super::*;

const SAMPLE: &str = "upn,serial number,secret key,time interval,manufacturer,model\n\
    helga@corp.example,1234567,2234567abcdef2234567abcdef,60,Contoso,HardwareKey\n\
    ,7654321,MFRA GGZD-FMYT EMZU====,30,,\n";

#[test]
fn the_documented_csv_is_read() {
    let file = read(SAMPLE, &Opener::default()).unwrap();
    assert!(file.bad.is_empty(), "{:?}", file.bad);
    let [one, two] = &file.tokens[..] else { panic!("{file:?}") };
    assert_eq!((one.serial.as_str(), one.owner.as_deref()), ("1234567", Some("helga@corp.example")));
    assert_eq!((one.moving, one.label.as_deref()), (Moving::Time { period: 60 }, Some("Contoso HardwareKey")));
    assert_eq!((two.line, two.owner.as_deref(), two.label.as_deref()), (3, None, None));
    assert_eq!(two.seed.len(), 10);
}

#[test]
fn every_bad_line_is_told_by_its_number_and_without_its_secret() {
    let text = "serial number;secret key;time interval;upn\n\
        1;planted!;30;\n\
        2;;30;\n\
        3;2234567abcdef2234567abcdef;45;\n\
        4;2234567abcdef2234567abcdef;soon;\n\
        5;MZXW6===;30;\n\
        ;2234567abcdef2234567abcdef;30;\n\
        7;2234567abcdef2234567abcdef;30;\n\
        7;2234567abcdef2234567abcdef;30;\n\
        8;2234567abcdef2234567abcdef;30;a;b\n";
    let file = read(text, &Opener::default()).unwrap();
    let lines: Vec<_> = file.bad.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 9, 10]);
    assert_eq!(file.tokens.len(), 1);
    let said = format!("{:?} {:?}", file.bad, file.tokens);
    assert!(!said.contains("planted") && !said.contains("abcdef"), "{said}");
}

#[test]
fn each_kind_of_file_is_told_by_its_beginning() {
    assert!(read("what\nis this", &Opener::default()).unwrap_err().contains("secret key"));
    assert!(read("", &Opener::default()).unwrap_err().contains("empty"));
    assert!(read("<x/>", &Opener::default()).unwrap_err().contains("PSKC"));
    let file = read("# phones\notpauth://totp/a?secret=JBSWY3DPEHPK3PXP\n", &Opener::default()).unwrap();
    assert_eq!(file.tokens.len(), 1);
}

#[test]
fn base32_is_that_of_rfc_4648() {
    for (text, octets) in
        [("MY======", &b"f"[..]), ("MZXW6===", b"foo"), ("mzxw6ytboi", b"foobar"), ("MZXW 6YTB-OI======", b"foobar")]
    {
        assert!(base32(text).unwrap().matches(octets), "{text}");
    }
    for text in ["", "====", "M1", "MZ=W6"] {
        assert!(base32(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_file_is_read_without_panic_and_what_is_good_is_good(text in "(?s).{0,300}") {
        if let Ok(file) = read(&text, &Opener::default()) {
            for token in file.tokens {
                prop_assert!(check(&token).is_ok());
            }
        }
    }
}
