//! Whole conversations with the demo directory: names, states, groups, TLS, DNS, and `anteroom check`'s probe.

use super::*;

#[tokio::test]
async fn the_demo_directory_answers_every_state_as_ad_does() {
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let directory = Directory::new(&demo(&server)).unwrap();
    for (name, right, wrong) in [
        ("alice", Finding::Right, Refusal::WrongPassword),
        ("DEMO\\ALICE", Finding::Right, Refusal::WrongPassword),
        ("Alice@Demo.anteroom.test", Finding::Right, Refusal::WrongPassword),
        ("ada", Finding::Right, Refusal::WrongPassword),
        ("disabled", Finding::Wrong(Refusal::Disabled), Refusal::WrongPassword),
        ("locked", Finding::Wrong(Refusal::LockedOut), Refusal::LockedOut),
        ("mustchange", Finding::Wrong(Refusal::MustChangePassword), Refusal::WrongPassword),
        ("pwexpired", Finding::Wrong(Refusal::PasswordExpired), Refusal::WrongPassword),
        ("expired", Finding::Wrong(Refusal::AccountExpired), Refusal::WrongPassword),
        ("nohours", Finding::Wrong(Refusal::LogonHours), Refusal::WrongPassword),
        ("workstation", Finding::Wrong(Refusal::Workstation), Refusal::WrongPassword),
        ("restricted", Finding::Wrong(Refusal::Restricted), Refusal::WrongPassword),
    ] {
        let who = directory.identify(name, soon()).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await, right, "{name}");
        assert_eq!(directory.try_password(&who, &secret("x"), soon()).await, Finding::Wrong(wrong), "{name}");
    }
    for name in
        ["nobody", "svc-anteroom", "VPN-Users", "*", "a*", "alice)(cn=*", "OTHER\\alice", "alice@other.test", "ali\0ce"]
    {
        assert_eq!(directory.identify(name, soon()).await, Err(IdentifyError::Unknown), "{name}");
    }
}

#[tokio::test]
async fn nested_groups_count_and_loops_end() {
    let mut looping = DemoPerson::new("looping", "Lou", "Loop");
    looping.groups = vec!["Loop-A".into()];
    let mut people = demo_people();
    people.push(looping);
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), people).await.unwrap();
    for kind in [DirectoryKind::Ad, DirectoryKind::Ldap] {
        let directory = Directory::new(&DirectoryTarget { kind, ..demo(&server) }).unwrap();
        let vpn = [group_dn("Nowhere"), group_dn("vpn-USERS")];
        for (name, expected) in [("alice", true), ("bob", true), ("erin", true), ("looping", false)] {
            let who = directory.identify(name, soon()).await.unwrap();
            assert_eq!(directory.member_of_any(&who, &vpn, soon()).await, Ok(expected), "{kind:?} {name}");
            assert_eq!(directory.member_of_any(&who, &[], soon()).await, Ok(false));
        }
        let bob = directory.identify("bob", soon()).await.unwrap();
        assert_eq!(directory.member_of_any(&bob, &[group_dn("MFA-Exempt")], soon()).await, Ok(false));
        let gone = Identity { dn: "CN=gone,DC=nowhere".into(), unique_id: bob.unique_id.clone(), ..bob };
        assert_eq!(directory.member_of_any(&gone, &vpn, soon()).await, Ok(true), "found by its unique id");
    }
}

/// A server certificate for 127.0.0.1, and the file with its authority.
fn certificate(name: &str) -> (Arc<rustls::ServerConfig>, tempfile::NamedTempFile) {
    let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    (Arc::new(config), file)
}

#[tokio::test]
async fn ldaps_and_starttls_verify_the_server() {
    let (config, ca) = certificate("127.0.0.1");
    let (_, other_ca) = certificate("127.0.0.1");
    let (misnamed, misnamed_ca) = certificate("elsewhere.test");
    for security in [Security::Ldaps, Security::StartTls] {
        let tls = |config: &Arc<rustls::ServerConfig>| match security {
            Security::Ldaps => DemoTls::Ldaps(Arc::clone(config)),
            _ => DemoTls::StartTls(Arc::clone(config)),
        };
        let try_with = async |config: &Arc<rustls::ServerConfig>, ca: Option<&tempfile::NamedTempFile>| {
            let any = "127.0.0.1:0".parse().unwrap();
            let demo_server = DemoDirectory::start_with(any, demo_people(), tls(config)).await.unwrap();
            let directory = Directory::new(&DirectoryTarget {
                servers: Servers::Listed(vec![server(demo_server.local_addr(), security)]),
                ca_file: ca.map(|file| file.path().to_owned()),
                ..demo(&demo_server)
            })
            .unwrap();
            let mut outcomes = Vec::new();
            for round in 0..3 {
                if round == 1 {
                    // Long enough for the client to ask the system whether its connections are still open.
                    tokio::time::sleep(Duration::from_millis(1100)).await;
                }
                let who = directory.identify("alice", soon()).await;
                outcomes.push(match who {
                    Ok(who) => directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await,
                    Err(error) => {
                        assert_eq!(error, fault(Fault::Unreachable));
                        assert_eq!(demo_server.binds(), 0, "no password before the server is known");
                        return false;
                    }
                });
            }
            assert_eq!(demo_server.binds(), 4, "the service account once, on a connection that was used again");
            outcomes.iter().all(|finding| *finding == Finding::Right)
        };
        assert!(try_with(&config, Some(&ca)).await, "{security:?}");
        assert!(!try_with(&config, Some(&other_ca)).await, "{security:?}: another authority");
        assert!(!try_with(&config, None).await, "{security:?}: the system's authorities");
        assert!(!try_with(&misnamed, Some(&misnamed_ca)).await, "{security:?}: another name");
    }
}

#[tokio::test]
async fn octets_slipped_in_behind_starttls_end_the_connection() {
    for extra in [true, false] {
        let fake = FakeDirectory::start(move |request| match request.asked {
            Asked::Extended => {
                let mut answer = octets(&response(request.id, 0x78, 0));
                if extra {
                    answer.extend(octets(&bind(request.id + 1, 0, "")));
                }
                vec![Act::Send(answer)]
            }
            _ => ordinary(request),
        })
        .await;
        let servers = vec![server(fake.address, Security::StartTls)];
        let directory = Directory::new(&target(servers)).unwrap();
        assert_eq!(try_password(&directory, "right").await, Finding::Fault(Fault::Unreachable));
        assert_eq!(fake.user_binds(), 0);
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_password() {
    let fake = FakeDirectory::start(ordinary).await;
    let directory = Directory::new(&target(vec![server(fake.address, Security::StartTls)])).unwrap();
    assert_eq!(try_password(&directory, "right").await, Finding::Fault(Fault::Unreachable));
    assert!(fake.seen().iter().all(|request| request.asked == Asked::Extended));
}

#[tokio::test]
async fn an_independent_client_can_talk_to_the_demo_directory() {
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let (connection, mut ldap) = ldap3::LdapConnAsync::new(&format!("ldap://{}", server.local_addr())).await.unwrap();
    ldap3::drive!(connection);
    let (root, _) = ldap.search("", ldap3::Scope::Base, "(objectClass=*)", vec!["*"]).await.unwrap().success().unwrap();
    assert!(ldap3::SearchEntry::construct(root[0].clone()).attrs.contains_key("defaultNamingContext"));
    let refused = ldap.simple_bind("DEMO\\alice", "wrong").await.unwrap();
    assert_eq!(refused.rc, 49);
    assert!(refused.text.contains("data 52e"));
    ldap.simple_bind(DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.unwrap().success().unwrap();
    let filter = format!(
        "(&(objectCategory=person)(userAccountControl:1.2.840.113556.1.4.803:=512)(cn=*L*lace*)(!(sn=x))\
         (memberOf:1.2.840.113556.1.4.1941:={}))",
        group_dn("VPN-Users")
    );
    let (found, result) = ldap
        .search(DEMO_BASE, ldap3::Scope::Subtree, &filter, vec!["cn", "objectGUID"])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!((found.len(), result.rc), (1, 0));
    let ada = ldap3::SearchEntry::construct(found[0].clone());
    assert_eq!(ada.dn, format!("CN=Lovelace\\, Ada,OU=People,{DEMO_BASE}"));
    let written = ldap.delete(&ada.dn).await.unwrap();
    assert_eq!(written.rc, 53);
    ldap.unbind().await.unwrap();
}

#[tokio::test]
async fn ipv6_servers_are_reached() {
    let Ok(server6) = DemoDirectory::start("[::1]:0".parse().unwrap(), demo_people()).await else {
        return assert!(std::net::TcpListener::bind("[::1]:0").is_err(), "IPv6 is there but the demo is not");
    };
    let directory = Directory::new(&demo(&server6)).unwrap();
    assert_eq!(directory.identify("alice", soon()).await.map(|who| who.name), Ok("alice".into()));
}

#[tokio::test]
async fn a_state_that_changes_is_seen_at_once() {
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let directory = Directory::new(&demo(&server)).unwrap();
    let who = directory.identify("alice", soon()).await.unwrap();
    assert_eq!(directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await, Finding::Right);
    let mut people = demo_people();
    people[0].state = AccountState::Disabled;
    server.set_people(people);
    let finding = directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await;
    assert_eq!(finding, Finding::Wrong(Refusal::Disabled));
}

#[tokio::test]
async fn a_probe_tells_what_a_server_told() {
    let server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let directory = Directory::new(&demo(&server)).unwrap();
    let reports = directory.probe().await;
    assert_eq!(reports[0].0, format!("ldap://{}", server.local_addr()));
    let report = reports[0].1.as_ref().unwrap();
    assert!(report.clock.is_some_and(|clock| clock.apart < Duration::from_secs(5)));
    assert_eq!(report.lockout.map(|lockout| (lockout.threshold, lockout.window.as_secs())), Some((10, 1800)));
    assert_eq!(report.certificate_expires, None);
}

#[tokio::test]
async fn a_probe_says_what_to_do_about_each_mistake() {
    let demo_server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let probe = async |target: &DirectoryTarget| {
        let reports = Directory::new(target).unwrap().probe().await;
        reports.into_iter().map(|(_, report)| report.unwrap_err()).collect::<Vec<_>>()
    };
    let wrong = DirectoryTarget { bind_password: secret("planted-wrong"), ..demo(&demo_server) };
    let url = server(demo_server.local_addr(), Security::Plaintext);
    let twice = Servers::Listed(vec![url.clone(), url]);
    let said = probe(&DirectoryTarget { servers: twice, ..wrong }).await;
    assert!(said[0].contains("bind_name or bind_password is wrong"), "{said:?}");
    assert!(said[1].contains("was not tried here"), "{said:?}");
    assert!(!format!("{said:?}").contains("planted"));
    assert_eq!(demo_server.binds(), 1);
    let said = probe(&DirectoryTarget { base: "DC=nowhere".into(), ..demo(&demo_server) }).await;
    assert!(said[0].contains("check base"), "{said:?}");
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = probe(&target(vec![server(unused, Security::Ldaps)])).await;
    assert!(said[0].contains("check address, port and firewall"), "{said:?}");
    let plain = server(demo_server.local_addr(), Security::Ldaps);
    let said = probe(&DirectoryTarget { servers: Servers::Listed(vec![plain]), ..demo(&demo_server) }).await;
    assert!(said[0].contains("TLS failed"), "{said:?}");
}

/// A name server that answers every question with these SRV records.
async fn name_server(records: Vec<(u16, u16, &'static str)>) -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut packet).await {
            // The question: a name of labels, then type and class.
            let name: usize = packet[12..length].iter().position(|&octet| octet == 0).unwrap() + 1;
            let question = &packet[12..12 + name + 4];
            let mut answer = packet[..2].to_vec();
            answer.extend([0x85, 0x80, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
            answer.extend(question);
            for (priority, port, host) in &records {
                let mut target = Vec::new();
                for label in host.split('.') {
                    target.push(u8::try_from(label.len()).unwrap());
                    target.extend(label.as_bytes());
                }
                target.push(0);
                answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
                answer.extend(u16::try_from(6 + target.len()).unwrap().to_be_bytes());
                answer.extend([priority.to_be_bytes(), [0, 0], port.to_be_bytes()].concat());
                answer.extend(target);
            }
            socket.send_to(&answer, peer).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn controllers_are_found_by_srv_records() {
    let demo_server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let port = demo_server.local_addr().port();
    let dns = name_server(vec![(10, port, "localhost"), (0, 1, "localhost")]).await;
    let domain = "demo.anteroom.test".to_owned();
    let locator = Locator::with_name_server(dns, &domain, Security::Plaintext).unwrap();
    let (found, until) = locator.find(Instant::now()).await.unwrap();
    assert_eq!(found.iter().map(|url| url.port).collect::<Vec<_>>(), [1, port]);
    let believed = until.saturating_duration_since(Instant::now());
    assert!((Duration::from_secs(29)..=Duration::from_secs(60)).contains(&believed), "{believed:?}");
    let servers = Servers::Dns { domain, security: Security::Plaintext };
    let directory = Directory::with_locator(&DirectoryTarget { servers, ..demo(&demo_server) }, locator).unwrap();
    // The first of them does not answer; the second does.
    let who = directory.identify("alice", soon()).await.unwrap();
    assert_eq!(directory.try_password(&who, &secret(DEMO_PASSWORD), soon()).await, Finding::Right);
}

#[tokio::test]
async fn without_an_answer_from_the_dns_the_directory_is_unreachable() {
    let demo_server = DemoDirectory::start("127.0.0.1:0".parse().unwrap(), demo_people()).await.unwrap();
    let dns = name_server(Vec::new()).await;
    let locator = Locator::with_name_server(dns, "demo.anteroom.test", Security::Plaintext).unwrap();
    let servers = Servers::Dns { domain: "demo.anteroom.test".into(), security: Security::Plaintext };
    let directory = Directory::with_locator(&DirectoryTarget { servers, ..demo(&demo_server) }, locator).unwrap();
    assert_eq!(directory.identify("alice", soon()).await, Err(fault(Fault::Unreachable)));
    assert!(directory.probe().await[0].1.as_ref().unwrap_err().contains("DNS"));
}
