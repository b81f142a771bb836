use super::*;

const ALL_WAYS: [Method; Method::ALL.len()] = Method::ALL;

#[test]
fn every_language_has_every_text_and_each_fits_one_attribute() {
    for (language, file) in BUILT_IN {
        let mut alone = Texts::default();
        alone.add(language, file).unwrap_or_else(|bad| panic!("{language}: {bad}"));
        for text in Text::ALL {
            assert!(alone.languages[language].contains_key(text), "{language} lacks {}", text.key());
        }
        let File(keys) = toml::from_str(file).unwrap();
        assert_eq!(keys.len(), Text::ALL.len(), "{language}");
    }
}

#[test]
fn a_language_falls_back_and_never_to_nothing() {
    let texts = Texts::built_in();
    let english = texts.say("en", Text::EnterCode, &[]);
    assert_ne!(texts.say("de", Text::EnterCode, &[]), english);
    assert_eq!(texts.say("de-CH", Text::EnterCode, &[]), texts.say("DE", Text::EnterCode, &[]));
    assert_eq!(texts.say("fr_CA", Text::EnterCode, &[]), texts.say("fr", Text::EnterCode, &[]));
    assert_eq!(texts.say("xx", Text::EnterCode, &[]), english);
    assert_eq!(texts.say("", Text::EnterCode, &[]), english);
    assert_eq!(Texts::default().say("en", Text::EnterCode, &[]), "enter_code");
}

#[test]
fn numbers_are_filled_in_and_one_is_not_many() {
    let texts = Texts::built_in();
    for (language, _) in BUILT_IN {
        assert!(texts.say(language, Text::Number, &[("number", "42")]).contains("42"), "{language}");
        let (one, two) = (texts.wrong(language, 1), texts.wrong(language, 2));
        assert!(two.contains('2') && !one.contains('{') && !two.contains('{'), "{language}: {one} {two}");
        assert_ne!(one, two.replace('2', "1"), "{language} has a singular of its own");
        let bounds = texts.say(language, Text::PinLength, &[("least", "6"), ("most", "16")]);
        assert!(bounds.contains('6') && bounds.contains("16"), "{language}");
    }
}

#[test]
fn a_menu_of_any_ways_fits_one_attribute_in_every_language() {
    let texts = Texts::built_in();
    for (language, _) in BUILT_IN {
        for most in 1..=ALL_WAYS.len() {
            let menu = texts.menu(language, &ALL_WAYS[..most], LONGEST);
            assert!(menu.len() <= LONGEST, "{language}: {} octets: {menu}", menu.len());
            assert!(menu.contains(&most.to_string()), "{language}: {menu}");
        }
        let two = texts.menu(language, &[Method::Push, Method::SmsCode], LONGEST);
        assert!(two.contains(texts.template(language, Text::WayPush)), "{language}: {two}");
    }
    // names too long for one attribute: the short form
    let mut wordy = Texts::built_in();
    let long = format!("way_push = \"{0}\"\nway_call = \"{0}\"", "x".repeat(120));
    wordy.add("en", &long).unwrap();
    assert_eq!(wordy.menu("en", &[Method::Push, Method::Call], LONGEST), "1=push 2=call");
}

#[test]
fn a_file_replaces_single_texts_and_mistakes_are_named() {
    let mut texts = Texts::built_in();
    texts.add("de", "enter_code = \"Bitte Code:\"").unwrap();
    assert_eq!(texts.say("de", Text::EnterCode, &[]), "Bitte Code:");
    assert!(texts.say("de", Text::Number, &[("number", "7")]).contains('7'));
    texts.add("it", "enter_code = \"Codice:\"").unwrap();
    assert_eq!(texts.say("it", Text::EnterCode, &[]), "Codice:");
    assert_eq!(texts.say("it", Text::NewPin, &[]), texts.say("en", Text::NewPin, &[]));
    let long = "x".repeat(254);
    for (file, what) in [
        ("nothing = \"x\"".to_owned(), "no such text"),
        ("enter_code = \"\"".to_owned(), "is empty"),
        ("enter_code = \"a\\nb\"".to_owned(), "line break"),
        ("enter_code = \"{number}\"".to_owned(), "{number} is nothing"),
        ("number = \"{number\"".to_owned(), "not closed"),
        ("number = \"your number\"".to_owned(), "does not say {number}"),
        (format!("enter_code = \"{long}\""), "254 octets"),
        ("enter_code = 5".to_owned(), "invalid type"),
        ("enter_code".to_owned(), ""),
    ] {
        let bad = texts.add("en", &file).unwrap_err();
        assert!(bad.0.contains(what), "{file:?}: {bad}");
    }
}

#[test]
fn a_text_fits_one_attribute_and_moves_no_cursor() {
    let told = plain(&format!("a\r\n\u{1b}[2Jb{}", "é".repeat(300)));
    assert!(told.starts_with("a   [2Jb") && told.len() <= LONGEST, "{told}");
}

#[test]
fn what_is_asked_again_after_something_wrong_is_not_cut_off() {
    let texts = Texts::built_in();
    let asked = [
        Text::EnterCode,
        Text::CodeBySms,
        Text::CodeByEmail,
        Text::CodeByCall,
        Text::PhoneSilent,
        Text::PromptOrCode,
        Text::EnterPin,
        Text::NewPin,
        Text::NewPinStrict,
        Text::RepeatPin,
        Text::NextCode,
    ];
    for (language, _) in BUILT_IN {
        for left in [1, 2, 19] {
            let wrong = texts.wrong(language, left);
            for text in asked {
                let asked = texts.say(language, text, &[("least", "16")]);
                let both = texts.wrong_before(language, left, &asked);
                assert!(both.starts_with(&wrong) && both.ends_with(&asked), "{language} {}: {both}", text.key());
            }
            for most in 1..=ALL_WAYS.len() {
                let menu = texts.menu(language, &ALL_WAYS[..most], LONGEST - wrong.len() - 1);
                let both = texts.wrong_before(language, left, &menu);
                assert!(both.len() <= LONGEST && both.starts_with(&wrong), "{language}: {both}");
                assert!((1..=most).all(|number| both.contains(&number.to_string())), "{language}: {both}");
            }
        }
    }
    // with texts of the house that leave no room, the question is whole
    let mut wordy = Texts::built_in();
    wordy.add("en", &format!("enter_code = \"{}\"", "x".repeat(250))).unwrap();
    let asked = wordy.say("en", Text::EnterCode, &[]);
    assert_eq!(wordy.wrong_before("en", 2, &asked), asked);
}
