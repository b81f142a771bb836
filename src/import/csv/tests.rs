use proptest::prelude::*;

use super::*;

fn defaults() -> Defaults {
    Defaults { method: Method::Push, language: "en".into(), region: Some("US".into()) }
}

#[test]
fn own_columns_are_read_in_any_order() {
    let text = "upn,unique_id,name,phone,extension,aliases,enabled,method,language,mode\n\
                a@corp.example,ID-1,alice,(202) 555-0111,17,CORP\\alice;ally,no,call,de_CH,pin\n";
    let sheet = read(text, &defaults()).unwrap();
    assert_eq!(sheet.bad, []);
    let Row { line, profile, given } = &sheet.rows[0];
    assert_eq!(*line, 2);
    let person = &profile.person;
    assert_eq!((person.unique_id.as_str(), person.name.as_str()), ("id-1", "alice"));
    assert_eq!(person.phone.as_deref(), Some("+12025550111"));
    assert_eq!(person.phone_extension.as_deref(), Some("17"));
    assert_eq!((person.enabled, person.method, person.language.as_str()), (false, Method::Call, "de-CH"));
    assert_eq!((profile.person.mode, profile.aliases.len()), (Mode::Pin, 2));
    assert!(given.contains(Field::Phone) && !given.contains(Field::Email));
}

#[test]
fn the_old_servers_columns_are_known_by_their_names() {
    let text = "\u{feff}Username;First Name;Last Name;Email;User Group;Country Code;Phone;Extension;\
                Backup Country Code;Backup Phone;Backup Extension;Method;Enabled;Send Email\r\n\
                bob@corp.example;Bob;Brown;b@corp.example;Staff;1;2025550102;;44;2079460103;9;Phone Call;True;False\r\n";
    let sheet = read(text.trim_start_matches('\u{feff}'), &defaults()).unwrap();
    assert_eq!(sheet.bad, []);
    let profile = &sheet.rows[0].profile;
    assert_eq!(profile.person.phone.as_deref(), Some("+12025550102"));
    assert_eq!(profile.backup_phone.as_deref(), Some("+442079460103"));
    assert_eq!(profile.backup_extension.as_deref(), Some("9"));
    assert_eq!((profile.person.method, profile.group.as_deref()), (Method::Call, Some("Staff")));
    assert_eq!(profile.person.upn.as_deref(), Some("bob@corp.example"));
}

#[test]
fn every_bad_line_is_told_by_its_number() {
    let text = "name,phone,enabled,method\n\
                alice,,maybe,\n\
                ,202 555 0102,,\n\
                bob,,,carrier pigeon\n\
                carol,1,2,3,4,5\n\
                dave,,,\n\
                DAVE,,,\n\
                \n\
                erin,,yes,push\n";
    for end in ["\n", "\r\n", "\r"] {
        let sheet = read(&text.replace('\n', end), &defaults()).unwrap();
        let bad: Vec<_> = sheet.bad.iter().map(|bad| bad.line).collect();
        assert_eq!(bad, [2, 3, 4, 5, 7], "{end:?}");
        assert!(sheet.bad[4].why.contains("line 6"), "{}", sheet.bad[4]);
        let good: Vec<_> = sheet.rows.iter().map(|row| (row.profile.person.name.as_str(), row.line)).collect();
        assert_eq!(good, [("dave", 6), ("erin", 9)], "{end:?}");
    }
}

#[test]
fn a_header_that_is_not_understood_stops_everything() {
    for (text, says) in [
        ("", "empty"),
        ("name,shoe size\nalice,7\n", "shoe size"),
        ("first name\nAlice\n", "login name"),
        ("name,user name\na,b\n", "twice"),
    ] {
        let error = read(text, &defaults()).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn fields_without_a_column_stay_as_they_are() {
    let sheet = read("name,email\nalice,new@corp.example\n", &defaults()).unwrap();
    let mut before = sheet.rows[0].profile.clone();
    before.person.email = Some("old@corp.example".into());
    before.person.phone = Some("+12025550111".into());
    let after = sheet.rows[0].over(&before);
    assert_eq!(after.person.email.as_deref(), Some("new@corp.example"));
    assert_eq!(after.person.phone.as_deref(), Some("+12025550111"));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "(?s).{0,400}") {
        let _ = read(&text, &defaults());
    }

    #[test]
    fn any_rows_are_good_or_told(rows in proptest::collection::vec("[a-z,\"; \n]{0,30}", 0..20)) {
        let text = format!("name,email,phone\n{}", rows.join("\n"));
        let sheet = read(&text, &defaults()).unwrap();
        let mut lines: Vec<_> = sheet.rows.iter().map(|row| row.line).collect();
        lines.dedup();
        prop_assert_eq!(lines.len(), sheet.rows.len());
        prop_assert!(sheet.rows.iter().all(|row| !row.profile.person.name.is_empty()));
    }
}
