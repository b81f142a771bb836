//! Accounts of programs: which ones are exempt, and what is said when one comes from a new address.

use anteroom::demo::directory::{
    DEMO_BASE, DEMO_PASSWORD, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD, demo_people, group_dn,
};
use anteroom::ldap::result::code;
use anteroom::ldap::search::Scope;

use super::client::{Client, until};
use super::own_house::OwnHouse;

/// How often an exempt account has come from an address that it had not used before.
fn new_addresses(house: &OwnHouse) -> u64 {
    let text = house.server.metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix("anteroom_service_addresses_total "));
    line.and_then(|number| number.parse().ok()).unwrap()
}

async fn bind_from(house: &OwnHouse, source: &str) {
    let mut client = Client::connect_from(source, house.server.ldap()[0]).await;
    assert_eq!(client.bind(1, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.0, code::SUCCESS, "{source}");
}

#[tokio::test]
async fn each_new_address_of_a_program_is_told_once_and_known_ones_never_also_after_a_restart() {
    let client = format!(
        "[[ldap.client]]\nname = \"wiki\"\naddress = \"127.0.0.0/8\"\nservice_accounts = [\"{DEMO_SERVICE_NAME}\"]\n"
    );
    let house = OwnHouse::start("", &client).await;
    for (source, told) in [("127.0.0.1", 1), ("127.0.0.1", 1), ("127.0.0.5", 2), ("127.0.0.1", 2), ("127.0.0.5", 2)] {
        bind_from(&house, source).await;
        until("a warning of a new address", || new_addresses(&house) >= told).await;
        assert_eq!(new_addresses(&house), told, "{source}");
    }
    let house = house.restart().await;
    for source in ["127.0.0.1", "127.0.0.5", "127.0.0.6"] {
        bind_from(&house, source).await;
    }
    until("a warning of the third address", || new_addresses(&house) >= 1).await;
    assert_eq!(new_addresses(&house), 1, "those of before the restart are known from the audit");
    house.stop().await;
}

#[tokio::test]
async fn a_program_is_exempt_by_its_dn_its_unit_its_group_or_a_filter_and_nobody_else_is() {
    let alice = demo_people().into_iter().find(|person| person.name == "alice").unwrap();
    let (dn, group) = (alice.dn(), group_dn(&alice.groups[0]));
    let unit = dn.split_once(',').unwrap().1.to_owned();
    let rules = [
        (format!("service_accounts = ['{}']", dn.to_uppercase()), true),
        (format!("service_ous = ['{unit}']"), true),
        (format!("service_groups = ['{group}']"), true),
        ("service_filter = '(sAMAccountName=alice)'".to_owned(), true),
        (format!("service_ous = ['OU=Elsewhere,{DEMO_BASE}']"), false),
        (format!("service_groups = ['CN=Elsewhere,{DEMO_BASE}']"), false),
        ("service_filter = '(sAMAccountName=bob)'".to_owned(), false),
        ("service_accounts = ['bob']".to_owned(), false),
    ];
    for (rule, exempt) in rules {
        let client =
            format!("[[ldap.client]]\nname = \"wiki\"\naddress = \"127.0.0.1\"\nanswer_within = \"1s\"\n{rule}\n");
        let house = OwnHouse::start("", &client).await;
        let mut client = Client::connect(house.server.ldap()[0]).await;
        // Nobody answers the phone.
        let heard = client.bind(1, "alice@demo.anteroom.test", DEMO_PASSWORD).await.0;
        assert_eq!(heard, if exempt { code::SUCCESS } else { code::INVALID_CREDENTIALS }, "{rule}");
        assert_eq!(house.phone.counts().prompts, u64::from(!exempt), "{rule}");
        let found = client.search(2, DEMO_BASE, Scope::Subtree, "(sAMAccountName=bob)").await.0;
        assert_eq!(found, usize::from(exempt), "{rule}");
        house.stop().await;
    }
}
